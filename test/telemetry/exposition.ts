// Reads Prometheus exposition text and lists what breaks its conventions: the checks of `promtool check metrics`.

export interface Sample {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

export interface Family {
  readonly type: string
  readonly help: string
  readonly samples: Sample[]
}

export interface Exposition {
  readonly families: ReadonlyMap<string, Family>
  readonly problems: readonly string[]
  /** The value of one line, by what stands before it. */
  value(sample: string): number | undefined
}

const NOT_BASE_UNITS =
  /_(milliseconds|microseconds|nanoseconds|micros|minutes|hours|days|kilobytes|megabytes|gigabytes|bits|percent|fahrenheit)(_|$)/
const ABBREVIATED_UNITS = /_(s|ms|us|ns|sec|b|kb|mb|gb|tb|pb|m|h|d)(_|$)/
const SAMPLE = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$/
const LABEL = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"(?:,|$)/gy

export function parseExposition(body: string): Exposition {
  const families = new Map<string, Family>()
  const helps = new Map<string, string>()
  const values = new Map<string, number>()
  const problems: string[] = []
  let current = ''
  if (!body.endsWith('\n')) problems.push('the last line has no end')

  for (const line of body.split('\n')) {
    if (line === '') continue
    const [, kind, name, rest] = /^# (HELP|TYPE) (\S+) (.*)$/.exec(line) ?? []
    if (kind === 'HELP') {
      if (helps.has(name!)) problems.push(`${name}: HELP twice`)
      helps.set(name!, rest!)
      continue
    }
    if (kind === 'TYPE') {
      if (families.has(name!)) problems.push(`${name}: TYPE twice`)
      if (!helps.get(name!)) problems.push(`${name}: no HELP before TYPE`)
      families.set(name!, { type: rest!, help: helps.get(name!) ?? '', samples: [] })
      current = name!
      continue
    }
    const [, sampleName, labelText = '', number] = SAMPLE.exec(line) ?? []
    const family = families.get(current)
    if (!sampleName || !family) {
      problems.push(`not a sample: ${line}`)
      continue
    }
    const allowed = family.type === 'histogram' ? ['_bucket', '_sum', '_count'].map(end => current + end) : [current]
    if (!allowed.includes(sampleName)) problems.push(`${sampleName} stands under ${current}`)
    const before = line.slice(0, line.lastIndexOf(' '))
    if (values.has(before)) problems.push(`${before}: twice`)
    const value = Number(number!.replace('Inf', 'Infinity'))
    if (Number.isNaN(value)) problems.push(`${before}: ${number} is no number`)
    values.set(before, value)
    family.samples.push({ name: sampleName, labels: labelsOf(labelText, problems), value })
  }

  for (const [name, family] of families) problems.push(...problemsOf(name, family))
  return { families, problems, value: sample => values.get(sample) }
}

export function labelsOf(text: string, problems: string[]): Record<string, string> {
  const labels: Record<string, string> = {}
  let end = 0
  for (const [all, name, value] of text.matchAll(LABEL)) {
    if (name! in labels) problems.push(`label twice: ${text}`)
    labels[name!] = value!
    end += all.length
  }
  if (end !== text.length) problems.push(`not labels: ${text}`)
  return labels
}

function problemsOf(name: string, family: Family): string[] {
  const problems: string[] = []
  if (!/^[a-z][a-z0-9_]*$/.test(name)) problems.push(`${name}: not snake_case`)
  if (NOT_BASE_UNITS.test(name)) problems.push(`${name}: not a base unit`)
  if (ABBREVIATED_UNITS.test(name)) problems.push(`${name}: an abbreviated unit`)
  if ((family.type === 'counter') !== name.endsWith('_total')) problems.push(`${name}: _total and counter do not agree`)
  if (/_(counter|gauge|histogram|summary)(_|$)/.test(name)) problems.push(`${name}: the type stands in the name`)
  if (family.type !== 'histogram' && /_(count|sum|bucket)$/.test(name)) problems.push(`${name}: a histogram’s suffix`)
  if (name.includes('duration') && !name.endsWith('_seconds')) problems.push(`${name}: a duration not in seconds`)
  const labelNames = new Set(family.samples.flatMap(({ labels }) => Object.keys(labels)))
  for (const label of labelNames) {
    if (!/^[a-z_][a-z0-9_]*$/.test(label)) problems.push(`${name}: the label ${label} is not snake_case`)
  }
  if (family.type !== 'histogram' && (labelNames.has('le') || labelNames.has('quantile'))) {
    problems.push(`${name}: a histogram’s label`)
  }
  if (family.type === 'counter' && family.samples.some(sample => sample.value < 0)) problems.push(`${name}: below 0`)
  if (family.type === 'histogram') problems.push(...histogramProblems(name, family.samples))
  return problems
}

function histogramProblems(name: string, samples: readonly Sample[]): string[] {
  const problems: string[] = []
  const series = Map.groupBy(samples, ({ labels: { le: _, ...labels } }) => JSON.stringify(labels))
  for (const [labels, ofSeries] of series) {
    const buckets = ofSeries.filter(sample => sample.name === `${name}_bucket`)
    const bounds = buckets.map(bucket => Number(bucket.labels.le!.replace('+Inf', 'Infinity')))
    const count = ofSeries.find(sample => sample.name === `${name}_count`)?.value
    const sum = ofSeries.find(sample => sample.name === `${name}_sum`)?.value
    if (bounds.some((bound, i) => i > 0 && bound <= bounds[i - 1]!))
      problems.push(`${name}${labels}: bounds do not rise`)
    if (bounds.at(-1) !== Number.POSITIVE_INFINITY) problems.push(`${name}${labels}: no +Inf`)
    if (buckets.some((bucket, i) => i > 0 && bucket.value < buckets[i - 1]!.value)) {
      problems.push(`${name}${labels}: not cumulative`)
    }
    if (count === undefined || count !== buckets.at(-1)?.value) problems.push(`${name}${labels}: count is not +Inf’s`)
    // The sum lies between what the buckets' lower and upper bounds allow.
    const inBucket = buckets.map((bucket, i) => bucket.value - (buckets[i - 1]?.value ?? 0))
    const least = inBucket.reduce((total, n, i) => total + n * (bounds[i - 1] ?? 0), 0)
    const most = inBucket.reduce((total, n, i) => total + (n === 0 ? 0 : n * bounds[i]!), 0)
    if (sum === undefined || sum < least || sum > most) problems.push(`${name}${labels}: sum ${sum} not in its buckets`)
  }
  return problems
}
