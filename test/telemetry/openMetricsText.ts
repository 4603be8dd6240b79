// Reads OpenMetrics 1.0 text and lists what breaks its rules, exemplars included: what remains is checked as plain text.
import { type Exposition, labelsOf, parseExposition } from './exposition.ts'

export interface ReadExemplar {
  /** The sample it stands beside, with its labels as written. */
  readonly name: string
  readonly sampleLabels: Readonly<Record<string, string>>
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
  readonly timestamp: number
}

export interface OpenMetricsExposition extends Exposition {
  readonly exemplars: readonly ReadExemplar[]
  /** Units by family. */
  readonly units: ReadonlyMap<string, string>
}

const EXEMPLAR = /^(.*?) # \{(.*)\} (\S+) (\d+(?:\.\d+)?)$/
const SAMPLE_NAME = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$/
/** Of the label names and values of one exemplar together. */
const MOST_EXEMPLAR_CHARACTERS = 128

export function parseOpenMetrics(body: string): OpenMetricsExposition {
  const problems: string[] = []
  const exemplars: ReadExemplar[] = []
  const units = new Map<string, string>()
  const counters = new Set([...body.matchAll(/^# TYPE (\S+) counter$/gm)].map(([, name]) => name!))
  if (!body.endsWith('\n# EOF\n')) problems.push('the text does not end in # EOF')
  const plain: string[] = []
  // The highest bound so far of the series that is read: buckets of one series follow each other.
  let below = { series: '', bound: 0 }
  for (const line of body
    .replace(/# EOF\n$/, '')
    .split('\n')
    .slice(0, -1)) {
    if (line === '') problems.push('an empty line')
    const [, kind, family, rest] = /^# (\S+) (\S+) ?(.*)$/.exec(line) ?? []
    if (kind === 'EOF') problems.push('# EOF before the end')
    if (kind === 'UNIT') {
      units.set(family!, rest!)
      if (!family!.endsWith(`_${rest}`)) problems.push(`${family}: its name does not end in its unit ${rest}`)
      continue
    }
    if (family !== undefined && counters.has(family)) {
      if (family.endsWith('_total')) problems.push(`${family}: a counter’s family is named without _total`)
      plain.push(`# ${kind} ${family}_total ${rest}`)
      continue
    }
    const [, sample, labelText, value, timestamp] = EXEMPLAR.exec(line) ?? []
    plain.push(sample ?? line)
    const [, name, sampleText = ''] = SAMPLE_NAME.exec(sample ?? line) ?? []
    if (name === undefined) continue
    const sampleLabels = labelsOf(sampleText, problems)
    const { le, ...others } = sampleLabels
    const isBucket = name.endsWith('_bucket') && le !== undefined
    if (isBucket && /^\d+$/.test(le)) problems.push(`${name}: the bound ${le} is written ${le}.0`)
    const series = `${name}${JSON.stringify(others)}`
    const from = below.series === series ? below.bound : 0
    if (isBucket) below = { series, bound: Number(le.replace('Inf', 'Infinity')) }
    if (sample === undefined) continue
    if (!isBucket && !name.endsWith('_total')) problems.push(`${name}: may have no exemplar`)
    const labels = labelsOf(labelText!, problems)
    const characters = Object.entries(labels).reduce((sum, [name, value]) => sum + name.length + value.length, 0)
    if (characters > MOST_EXEMPLAR_CHARACTERS) problems.push(`${name}: an exemplar of ${characters} characters`)
    const exemplar = { name, sampleLabels, labels, value: Number(value), timestamp: Number(timestamp) }
    const isInside = exemplar.value <= below.bound && (exemplar.value > from || (from === 0 && exemplar.value === 0))
    if (isBucket && !isInside) problems.push(`${sample}: an exemplar of another bucket: ${value}`)
    exemplars.push(exemplar)
  }
  const { families, value, problems: others } = parseExposition(`${plain.join('\n')}\n`)
  return { families, value, exemplars, units, problems: [...problems, ...others] }
}
