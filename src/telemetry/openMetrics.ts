// The same metrics as OpenMetrics text, where exemplars can stand. Knows no metric's name but by its endings.
import { type Metric, type OpenMetricsContentType, Registry } from 'prom-client'

/** One sample as a prom-client registry prints it. */
export interface SampleValue {
  /** Undefined: the metric's own name. */
  readonly metricName?: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
  /** Printed by an OpenMetrics registry only. */
  readonly exemplar?: PrintedExemplar | undefined
}

/** An exemplar as a prom-client registry prints it. */
export interface PrintedExemplar {
  readonly labelSet: { readonly trace_id: string; readonly span_id: string }
  readonly value: number
  /** Seconds since the Unix epoch. */
  readonly timestamp: number
}

/** Something that gives its samples with exemplars, and bounds as OpenMetrics writes them. */
export interface OpenMetricsSource {
  readonly name: string
  readonly help: string
  readonly type: string
  openMetricsValues(): Promise<readonly SampleValue[]>
}

/**
 * A second registry beside the plain one, with views of the same series. prom-client has one format a registry, and an
 * OpenMetrics registry renames its counters for good: were the series shared, plain text would lose `_total`.
 */
export class OpenMetricsText {
  readonly #registry = new Registry<OpenMetricsContentType>()

  constructor() {
    this.#registry.setContentType(Registry.OPENMETRICS_CONTENT_TYPE)
  }

  add(source: OpenMetricsSource): void {
    const { help, type } = source
    const name = type === 'counter' ? source.name.replace(/_total$/, '') : source.name
    const view = {
      name,
      help,
      type,
      get: async () => ({ name, help, type, values: await source.openMetricsValues() }),
      reset() {},
    }
    // The registry's type is a closed union of its own classes; what it uses of them is what stands here.
    this.#registry.registerMetric(view as unknown as Metric)
  }

  async text(): Promise<{ body: string; contentType: string }> {
    const body = await this.#registry.metrics()
    return { body: withUnits(body), contentType: this.#registry.contentType }
  }
}

/** `le` as OpenMetrics 1.0 demands it of a bound: 1 is written 1.0. */
export function canonicalBound(bound: number): string {
  return Number.isInteger(bound) ? bound.toFixed(1) : String(bound)
}

/** prom-client writes no units; OpenMetrics allows one where the name ends in it. */
function withUnits(body: string): string {
  return body.replace(/^# TYPE (\S+_(seconds|bytes)) \S+$/gm, '$&\n# UNIT $1 $2')
}
