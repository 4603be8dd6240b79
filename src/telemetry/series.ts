// What prom-client has no public way to do: forget label sets by a condition, and take durations that are bucketed already.
import { Counter, Gauge, type Metric, type Registry } from 'prom-client'
import { bucketOf, type Exemplar } from './exemplars.ts'
import { canonicalBound, type OpenMetricsSource, type PrintedExemplar, type SampleValue } from './openMetrics.ts'

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
export class CounterSeries implements OpenMetricsSource {
  readonly name: string
  readonly help: string
  readonly type = 'counter'
  readonly #metric: Counter
  readonly #known = new Map<string, Labels>()
  readonly #exemplars = new Map<string, Exemplar>()

  constructor({ registry, name, help, labelNames }: LabelledOptions) {
    this.name = name
    this.help = help
    this.#metric = new Counter({ name, help, labelNames, registers: [registry] })
  }

  inc(labels: Labels, count = 1): void {
    this.#metric.inc(remembered(this.#known, labels), count)
  }

  /** Stands beside the count of `labels`, if that is counted by now. */
  exemplar(labels: Labels, exemplar: Exemplar): void {
    const key = keyOf(labels)
    if (this.#known.has(key)) this.#exemplars.set(key, newer(this.#exemplars.get(key), exemplar))
  }

  removeWhere(matches: (labels: Labels) => boolean): void {
    for (const labels of forgotten(this.#known, matches)) {
      this.#metric.remove(labels)
      this.#exemplars.delete(keyOf(labels))
    }
  }

  async openMetricsValues(): Promise<SampleValue[]> {
    const { values } = await this.#metric.get()
    return values.map(({ labels, value }) => {
      const known = labels as Labels
      return { labels: known, value, exemplar: printed(this.#exemplars.get(keyOf(known))) }
    })
  }
}

/** A prom-client gauge whose label sets can be forgotten. */
export class GaugeSeries implements OpenMetricsSource {
  readonly name: string
  readonly help: string
  readonly type = 'gauge'
  readonly #metric: Gauge
  readonly #known = new Map<string, Labels>()

  constructor({ registry, name, help, labelNames }: LabelledOptions) {
    this.name = name
    this.help = help
    this.#metric = new Gauge({ name, help, labelNames, registers: [registry] })
  }

  set(labels: Labels, value: number): void {
    this.#metric.set(remembered(this.#known, labels), value)
  }

  remove(labels: Labels): void {
    if (this.#known.delete(keyOf(labels))) this.#metric.remove(labels)
  }

  removeWhere(matches: (labels: Labels) => boolean): void {
    for (const labels of forgotten(this.#known, matches)) this.#metric.remove(labels)
  }

  async openMetricsValues(): Promise<SampleValue[]> {
    const { values } = await this.#metric.get()
    return values.map(({ labels, value }) => ({ labels: labels as Labels, value }))
  }
}

interface Bucketed {
  readonly labels: Labels
  /** One count a bucket, not cumulative; the last is for +Inf. */
  readonly counts: number[]
  readonly exemplars: (Exemplar | undefined)[]
  sum: number
}

/** A histogram that is fed buckets instead of observations; `get` is what a prom-client registry asks of a metric. */
export class BucketHistogram implements OpenMetricsSource {
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
    const series = this.#seriesOf(labels)
    for (let bucket = 0; bucket < counts.length; bucket++) series.counts[bucket]! += counts[bucket]!
    series.sum += sumSeconds
  }

  /** Stands beside the bucket that counts its value, once that has a count: other threads may tell of it later. */
  exemplar(labels: Labels, exemplar: Exemplar): void {
    const { exemplars } = this.#seriesOf(labels)
    const bucket = bucketOf(this.#bounds, exemplar.value)
    exemplars[bucket] = newer(exemplars[bucket], exemplar)
  }

  removeWhere(matches: (labels: Labels) => boolean): void {
    for (const [key, { labels }] of this.#series) if (matches(labels)) this.#series.delete(key)
  }

  reset(): void {
    this.#series.clear()
  }

  async get(): Promise<{ name: string; help: string; type: string; aggregator: string; values: SampleValue[] }> {
    return {
      name: this.name,
      help: this.help,
      type: this.type,
      aggregator: this.aggregator,
      values: this.#values(String),
    }
  }

  async openMetricsValues(): Promise<SampleValue[]> {
    return this.#values(canonicalBound)
  }

  #values(boundText: (bound: number) => string): SampleValue[] {
    const bounds = [...this.#bounds.map(boundText), '+Inf']
    const values: SampleValue[] = []
    for (const { labels, counts, exemplars, sum } of this.#series.values()) {
      let cumulative = 0
      counts.forEach((count, bucket) => {
        cumulative += count
        values.push({
          metricName: `${this.name}_bucket`,
          labels: { ...labels, le: bounds[bucket]! },
          value: cumulative,
          exemplar: count > 0 ? printed(exemplars[bucket]) : undefined,
        })
      })
      values.push({ metricName: `${this.name}_sum`, labels, value: sum })
      values.push({ metricName: `${this.name}_count`, labels, value: cumulative })
    }
    return values
  }

  #seriesOf(labels: Labels): Bucketed {
    const key = keyOf(labels)
    let series = this.#series.get(key)
    if (series === undefined) {
      const buckets = this.#bounds.length + 1
      series = { labels, counts: new Array(buckets).fill(0), exemplars: new Array(buckets).fill(undefined), sum: 0 }
      this.#series.set(key, series)
    }
    return series
  }
}

/** Prometheus refuses an exemplar that is older than the one before it. */
function newer(before: Exemplar | undefined, exemplar: Exemplar): Exemplar {
  return before !== undefined && before.atS > exemplar.atS ? before : exemplar
}

function printed(exemplar: Exemplar | undefined): PrintedExemplar | undefined {
  if (exemplar === undefined) return undefined
  const { traceId, spanId, value, atS } = exemplar
  // Whole milliseconds: more digits than a float holds would only look exact.
  return { labelSet: { trace_id: traceId, span_id: spanId }, value, timestamp: Math.round(atS * 1000) / 1000 }
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
