// Decides which kept request stands for a bucket of a metric: the newest. Knows nothing of metric names or formats. Pure.
import { INFERENCE_BUCKETS_S, REQUEST_BUCKETS_S } from './durations.ts'
import type { FinishedRequest, Role } from './finished.ts'
import type { CompareResult } from './keep.ts'

/** One request whose spans were kept, as a pointer from a count to its trace. Plain data, fit for postMessage. */
export interface Exemplar {
  /** 32 and 16 hexadecimal digits: 63 characters with their names, of the 128 that OpenMetrics allows. */
  readonly traceId: string
  readonly spanId: string
  /** What was counted: seconds of a histogram, 1 of a counter. */
  readonly value: number
  /** Seconds since the Unix epoch at which the request had ended. */
  readonly atS: number
}

export type ExemplarSeries =
  | { readonly of: 'request' | 'inference'; readonly route: string; readonly version: string; readonly role: Role }
  | { readonly of: 'http'; readonly method: string; readonly route: string; readonly status: number }
  | { readonly of: 'comparison'; readonly route: string; readonly candidate: string; readonly result: CompareResult }

export interface SeriesExemplar {
  readonly series: ExemplarSeries
  readonly exemplar: Exemplar
}

/**
 * The newest kept request of each bucket of each series since the last `take`. What it holds is bounded by the
 * configuration: routes, versions, results and buckets; a request costs a few map entries, whatever the traffic.
 */
export class NewestExemplars {
  readonly #newest = new Map<string, SeriesExemplar>()

  /** A request whose spans went to an exporter. */
  saw(request: FinishedRequest): void {
    const { route, traceId, spanId, servedVersion, method, httpRoute, status, inferences, comparisons } = request
    const atS = (request.startMs + request.durationMs) / 1000
    const offer = (series: ExemplarSeries, bucket: number, value: number) => {
      const key = `${nameOf(series)}\0${bucket}`
      const before = this.#newest.get(key)
      // Requests with a shadow end late: the order they come in is not the order they were answered in.
      if (before !== undefined && before.exemplar.atS > atS) return
      this.#newest.set(key, { series, exemplar: { traceId, spanId, value, atS } })
    }

    const seconds = request.durationMs / 1000
    const bucket = bucketOf(REQUEST_BUCKETS_S, seconds)
    const role = inferences[0]?.role
    if (servedVersion !== undefined && role !== undefined) {
      offer({ of: 'request', route, version: servedVersion, role }, bucket, seconds)
    }
    offer({ of: 'http', method, route: httpRoute, status }, bucket, seconds)
    for (const { version, role, durationMs } of inferences) {
      const took = durationMs / 1000
      offer({ of: 'inference', route, version, role }, bucketOf(INFERENCE_BUCKETS_S, took), took)
    }
    for (const { candidate, result } of comparisons) {
      offer({ of: 'comparison', route, candidate: candidate.version, result }, 0, 1)
    }
  }

  /** At most one for each bucket; starts over. */
  take(): SeriesExemplar[] {
    if (this.#newest.size === 0) return []
    const taken = [...this.#newest.values()]
    this.#newest.clear()
    return taken
  }
}

/** Written out: joining an object's values costs twice as much. */
function nameOf(series: ExemplarSeries): string {
  switch (series.of) {
    case 'http':
      return `h\0${series.method}\0${series.route}\0${series.status}`
    case 'comparison':
      return `c\0${series.route}\0${series.candidate}\0${series.result}`
    default:
      return `${series.of}\0${series.route}\0${series.version}\0${series.role}`
  }
}

/** The index of the bucket that counts `value`, which is at or below its bound; `bounds.length` above the highest. */
export function bucketOf(bounds: readonly number[], value: number): number {
  const index = bounds.findIndex(bound => value <= bound)
  return index < 0 ? bounds.length : index
}
