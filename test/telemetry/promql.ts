// Reads which metrics and labels a PromQL expression names. No full parser: whatever it does not know is given as unknown.

export interface Named {
  /** Each selector's metric, and the labels that it is matched by. */
  readonly selectors: readonly { readonly metric: string; readonly labels: readonly string[] }[]
  /** Labels in by, on, group_left …. */
  readonly grouping: readonly string[]
}

const KNOWN_WORDS = new Set(
  'sum min max avg count rate increase changes absent histogram_quantile vector time and or unless by without on ignoring group_left group_right offset bool'.split(
    ' ',
  ),
)

export function namedIn(expr: string): Named {
  const grouping: string[] = []
  const selectors: { metric: string; labels: string[] }[] = []
  const rest = expr
    .replace(/"(?:[^"\\]|\\.)*"/g, '""')
    .replace(/\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)/g, (_, labels: string) => {
      grouping.push(
        ...labels
          .split(',')
          .map(label => label.trim())
          .filter(label => label !== ''),
      )
      return ' '
    })
    .replace(/\[[^\]]*\]/g, ' ')
    .replace(/\boffset\s+\d+[smhdwy]/g, ' ')
  for (const [, metric, matchers = ''] of rest.matchAll(/([a-zA-Z_:][a-zA-Z0-9_:]*)\s*(?:\{([^}]*)\})?/g)) {
    if (KNOWN_WORDS.has(metric!)) continue
    const labels = [...matchers.matchAll(/([a-zA-Z_][a-zA-Z0-9_]*)\s*(?:=~|!~|!=|=)/g)].map(([, label]) => label!)
    selectors.push({ metric: metric!, labels })
  }
  return { selectors, grouping }
}
