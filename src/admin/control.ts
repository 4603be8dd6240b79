// What the admin API may ask of the control thread. Implemented by the gateway, and by a fake in tests.
import type { Verdict } from '../gate/evidence.ts'
import type { Report, Status } from '../report/status.ts'
import type { Found } from '../shadow/explanation.ts'
import type { PartialSuccess } from '../telemetry/exportAnswer.ts'
import type { MetricsFormat } from '../telemetry/metrics.ts'
import type { ReadSpan } from '../telemetry/readSpans.ts'

/** Who asks, why, and whether it is only a rehearsal. */
export interface Request {
  readonly who: string
  readonly reason: string
  readonly dryRun: boolean
  /** The same key twice is done once. */
  readonly idempotencyKey: string | undefined
}

/** What a change did, or would do. */
export interface ChangeResult {
  readonly route: string
  readonly action: 'promote' | 'rollback' | 'abort' | 'clear' | 'set-weight' | 'pause' | 'resume'
  readonly dryRun: boolean
  readonly applied: boolean
  /** One sentence. */
  readonly summary: string
  /** Unified diff of routes.yaml; empty when the file does not change. */
  readonly diff: string
  /** Shares before and after, percent by version. */
  readonly before: Readonly<Record<string, number>>
  readonly after: Readonly<Record<string, number>>
  readonly elapsedMs: number
}

export interface HistoryEntry {
  readonly at: string
  readonly route: string
  readonly kind: string
  /** The version that it was done to; undefined: the route as a whole. */
  readonly version: string | undefined
  readonly who: string
  readonly from: string | undefined
  readonly to: string | undefined
  readonly reason: string
  readonly evidenceDigest: string | undefined
  readonly phase: string | undefined
}

/** Every method throws UnderstudyError: UNKNOWN_MODEL, UNKNOWN_VERSION, UNKNOWN_CANDIDATE, CONFLICT, STATE_FAILED … */
export interface Control {
  status(): Status
  /** `candidate` may be left out where there is exactly one. */
  report(route: string, candidate: string | undefined): Report
  gate(route: string, candidate: string | undefined): Verdict
  /** The evidence and policy behind the verdict, as `judge` reads them. */
  evidence(route: string, candidate: string | undefined): { readonly evidence: unknown; readonly policy: unknown }
  /** Requests with this id, in one route or in all, the newest first; at least one. @throws UNKNOWN_REQUEST, OVERLOADED */
  explain(requestId: string, route: string | undefined): Promise<Found>
  promote(route: string, candidate: string | undefined, request: Request): Promise<ChangeResult>
  rollback(route: string, request: Request): Promise<ChangeResult>
  abort(route: string, version: string, request: Request): Promise<ChangeResult>
  clear(route: string, version: string, request: Request): Promise<ChangeResult>
  /** Stops raises that happen by themselves, and lets them go on. */
  pause(route: string, request: Request): Promise<ChangeResult>
  resume(route: string, request: Request): Promise<ChangeResult>
  setWeight(route: string, version: string, weight: number, request: Request): Promise<ChangeResult>
  /** Mirroring on or off, for one route or all. */
  mirror(on: boolean, route: string | undefined, request: Request): Promise<void>
  history(route: string | undefined, last: number): readonly HistoryEntry[]
  /** JSON body of POST /v1/labels; resolves when the labels are kept. */
  labels(body: Uint8Array): Promise<{ readonly status: number; readonly body: string }>
  /**
   * Spans of POST /v1/traces, undefined for broken ones. Nothing is taken before all are read: what iterating throws
   * refuses the whole. @throws OVERLOADED, TOO_LARGE
   */
  traces(spans: Iterable<ReadSpan | undefined>): Promise<PartialSuccess>
  metrics(format: MetricsFormat): Promise<{ readonly body: string; readonly contentType: string }>
  ready(): boolean
}
