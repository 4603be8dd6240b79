// What the control thread and a serving thread say to each other.
import type { Protocol } from '../config/protocols.ts'
import type { EpochPost } from '../evidence/epochPost.ts'
import type { Snapshot } from '../rollout/snapshot.ts'
import type { DurationDelta } from '../telemetry/durations.ts'
import type { Role } from '../telemetry/metrics.ts'

export interface ServingData {
  readonly host: string
  readonly port: number
  /** Several threads listen on one port; false where the platform cannot. */
  readonly reusePort: boolean
  readonly ring: SharedArrayBuffer
  readonly doorbell: SharedArrayBuffer
  /** Monotonic ms at which epoch 0 began. */
  readonly originMs: number
  readonly snapshot: Snapshot
  /** Digests of models that are known to keep rows apart. */
  readonly proven: readonly string[]
}

export type ToServing =
  | { readonly kind: 'snapshot'; readonly snapshot: Snapshot }
  /** A model turned out to keep rows apart. */
  | { readonly kind: 'proven'; readonly sha256: string }
  | { readonly kind: 'answer'; readonly call: number; readonly status: number; readonly body: string }
  | { readonly kind: 'drain'; readonly delayMs: number; readonly deadlineMs: number }

/** Durations of the answers with one status code in one protocol since they were last taken. */
export type CodeDelta = DurationDelta & { readonly code: number; readonly protocol: Protocol }

/** A version that has answered for the first time, and where its numbers stand, see serving/counted.ts. */
export interface NamedVersion extends CountedAt {
  /** No other of its thread has or had it. */
  readonly number: number
  readonly route: string
  readonly version: string
  readonly role: Role
}

/** A place in memory of both threads, in numbers from its beginning. */
interface CountedAt {
  readonly memory: SharedArrayBuffer
  readonly start: number
}

/** A code that the version with this number has answered with for the first time, see `codeKey`. */
export interface CountedCode extends CountedAt {
  readonly number: number
  readonly key: number
}

/** What control must know to read what the requests of each version came to, if it has not been told before. */
export interface CountedVersions {
  readonly named: readonly NamedVersion[]
  readonly codes: readonly CountedCode[]
  /** Nothing is counted of these any more. */
  readonly gone: readonly number[]
}

export type FromServing =
  | { readonly kind: 'listening'; readonly port: number }
  | { readonly kind: 'refused'; readonly message: string; readonly code: string | undefined }
  | {
      readonly kind: 'applied'
      readonly revision: number
      readonly broken: readonly { readonly version: string; readonly message: string }[]
    }
  /** Labels to be kept, or what all threads counted of every version: what only control knows. */
  | { readonly kind: 'ask'; readonly what: 'labels' | 'statistics'; readonly call: number; readonly body: Uint8Array }
  | {
      readonly kind: 'tick'
      readonly post: EpochPost
      readonly versions: CountedVersions
      /** Requests answered before a version was chosen, by status code. */
      readonly refused: readonly CodeDelta[]
    }
