// What the control thread and the shadow thread say to each other.
import type { EpochPost } from '../evidence/epochPost.ts'
import type { Snapshot } from '../rollout/snapshot.ts'
import type { LoadedModel, VerifyModel } from '../scoring/message.ts'
import type { DurationDelta } from '../telemetry/durations.ts'
import type { SeriesExemplar } from '../telemetry/exemplars.ts'
import type { Found } from './explanation.ts'

export interface ShadowData {
  readonly doorbell: SharedArrayBuffer
  readonly originMs: number
  /** Wall clock minus monotonic clock at the start, ms: spans are backdated with it. */
  readonly wallShiftMs: number
}

export type ToShadow =
  /** A serving thread started; `thread` names its ring. */
  | { readonly kind: 'ring'; readonly thread: number; readonly ring: SharedArrayBuffer }
  /** That thread is gone: what it published is drained, then its ring is forgotten. */
  | { readonly kind: 'ringEnded'; readonly thread: number }
  | { readonly kind: 'snapshot'; readonly snapshot: Snapshot }
  | { readonly kind: 'verify'; readonly call: number; readonly model: VerifyModel }
  | { readonly kind: 'promoted'; readonly promotion: Promotion }
  /** What is remembered of a request id, in one route or in all. */
  | { readonly kind: 'explain'; readonly call: number; readonly requestId: string; readonly route: string | undefined }
  | { readonly kind: 'stop' }

/** What the root span `promote {route}` says. */
export interface Promotion {
  readonly route: string
  readonly who: string
  readonly from: string
  readonly to: string
  readonly evidenceDigest: string
}

/** Shadow answers of one candidate since the last post. */
export interface ShadowDelta {
  readonly route: string
  readonly version: string
  readonly outcomes: readonly (readonly [outcome: string, count: number])[]
  readonly comparisons: readonly (readonly [result: string, count: number])[]
  /** How long the version took in the shadow. */
  readonly inference: DurationDelta | undefined
  readonly inFlight: number
}

export type FromShadow =
  | {
      readonly kind: 'applied'
      readonly revision: number
      readonly broken: readonly { readonly version: string; readonly message: string }[]
    }
  | { readonly kind: 'verified'; readonly call: number; readonly model: LoadedModel }
  | { readonly kind: 'refused'; readonly call: number; readonly message: string }
  /** A model that was verified keeps rows apart. */
  | { readonly kind: 'proven'; readonly sha256: string }
  /** Undefined: it could not be worked out. */
  | { readonly kind: 'explained'; readonly call: number; readonly found: Found | undefined }
  | {
      readonly kind: 'tick'
      readonly post: EpochPost
      readonly candidates: readonly ShadowDelta[]
      readonly spansDropped: Readonly<Record<string, number>>
      readonly exemplars: readonly SeriesExemplar[]
    }
