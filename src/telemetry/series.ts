// What prom-client has no public way to do: forget label sets by a condition, and take durations that are bucketed already.
import { Counter, Gauge, type Metric, type Registry } from 'prom-client'

export type Labels = Readonly<Record<string, string>>

interface SeriesOptions {
  readonly registry: Registry
  readonly name: string
  readonly help: string
}

interface LabelledOptions extends SeriesOptions {
  readonly labelNames: readonly string[]
}

/** A prom-client counter whose label sets can be forgotten. */
export class CounterSeries {
  readonly #metric: Counter
  readonly #known = new Map<string, Labels>()

  constructor({ registry, name, help, labelNames }: LabelledOptions) {
    this.#metric = new Counter({ name, help, labelNames, registers: [registry] })
  }

  inc(labels: Labels, count = 1): void {
    this.#metric.inc(remembered(this.#known, labels), count)
  }

  removeWhere(matches: (labels: Labels) => boolean): void {
    for (const labels of forgotten(this.#known, matches)) this.#metric.remove(labels)
  }
}

/** A prom-client gauge whose label sets can be forgotten. */
export class GaugeSeries {
  readonly #metric: Gauge
  readonly #known = new Map<string, Labels>()

  constructor({ registry, name, help, labelNames }: LabelledOptions) {
    this.#metric = new Gauge({ name, help, labelNames, registers: [registry] })
  }

  set(labels: Labels, value: number): void {
    this.#metric.set(remembered(this.#known, labels), value)
  }

  removeWhere(matches: (labels: Labels) => boolean): void {
    for (const labels of forgotten(this.#known, matches)) this.#metric.remove(labels)
  }
}

interface Bucketed {
  readonly labels: Labels
  /** One count a bucket, not cumulative; the last is for +Inf. */
  readonly counts: number[]
  sum: number
}

interface SampleValue {
  readonly metricName: string
  readonly labels: Labels
  readonly value: number
}

/** A histogram that is fed buckets instead of observations; `get` is what a prom-client registry asks of a metric. */
export class BucketHistogram {
  readonly name: string
  readonly help: string
  readonly type = 'histogram'
  readonly aggregator = 'sum'
  readonly #bounds: readonly number[]
  readonly #series = new Map<string, Bucketed>()

  constructor(options: SeriesOptions & { readonly boundsSeconds: readonly number[] }) {
    this.name = options.name
    this.help = options.help
    this.#bounds = options.boundsSeconds
    // The registry's type is a closed union of its own classes; what it uses of them is `name`, `get` and `reset`.
    options.registry.registerMetric(this as unknown as Metric)
  }

  /** @param counts one for each bound and one above, not cumulative */
  add(labels: Labels, counts: readonly number[], sumSeconds: number): void {
    if (counts.length !== this.#bounds.length + 1) {
      throw new RangeError(`${this.name} has ${this.#bounds.length + 1} buckets, got ${counts.length}`)
    }
    const key = keyOf(labels)
    let series = this.#series.get(key)
    if (!series) {
      series = { labels, counts: counts.map(() => 0), sum: 0 }
      this.#series.set(key, series)
    }
    for (let bucket = 0; bucket < counts.length; bucket++) series.counts[bucket]! += counts[bucket]!
    series.sum += sumSeconds
  }

  removeWhere(matches: (labels: Labels) => boolean): void {
    for (const [key, { labels }] of this.#series) if (matches(labels)) this.#series.delete(key)
  }

  reset(): void {
    this.#series.clear()
  }

  async get(): Promise<{ name: string; help: string; type: string; aggregator: string; values: SampleValue[] }> {
    const values: SampleValue[] = []
    for (const { labels, counts, sum } of this.#series.values()) {
      let cumulative = 0
      counts.forEach((count, bucket) => {
        cumulative += count
        const le = bucket < this.#bounds.length ? String(this.#bounds[bucket]) : '+Inf'
        values.push({ metricName: `${this.name}_bucket`, labels: { ...labels, le }, value: cumulative })
      })
      values.push({ metricName: `${this.name}_sum`, labels, value: sum })
      values.push({ metricName: `${this.name}_count`, labels, value: cumulative })
    }
    return { name: this.name, help: this.help, type: this.type, aggregator: this.aggregator, values }
  }
}

function remembered(known: Map<string, Labels>, labels: Labels): Labels {
  const key = keyOf(labels)
  const before = known.get(key)
  if (before) return before
  known.set(key, labels)
  return labels
}

function forgotten(known: Map<string, Labels>, matches: (labels: Labels) => boolean): Labels[] {
  const found: Labels[] = []
  for (const [key, labels] of known) {
    if (!matches(labels)) continue
    known.delete(key)
    found.push(labels)
  }
  return found
}

/** Callers write the labels of one metric in one order, so the values alone tell label sets apart. */
function keyOf(labels: Labels): string {
  return Object.values(labels).join('\0')
}
