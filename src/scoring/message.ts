// What a parent and its scoring process say to each other (structured clone over a pipe).
import type { Manifest, TensorSpec } from '../models/manifest.ts'
import type { Tensor } from '../protocols/tensor.ts'
import type { ScoreOutcome } from './scorer.ts'

export type ToChild =
  | ({ readonly kind: 'load'; readonly call: number } & VerifyModel)
  | ({ readonly kind: 'prove'; readonly call: number } & ProvableModel)
  | {
      readonly kind: 'score'
      readonly call: number
      readonly model: string
      readonly inputs: readonly Tensor[]
      readonly deadlineMs: number
    }
  | { readonly kind: 'unload'; readonly model: string }
  | { readonly kind: 'stop' }

/** A model file to be loaded and, with golden vectors, verified. */
export interface VerifyModel {
  readonly file: string
  readonly sha256: string
  readonly golden?: Manifest['golden']
}

/** A model that is asked to prove that it keeps rows apart. */
export type ProvableModel = Required<VerifyModel>

/** A model that loaded; `p99Ms` is of single-row scores, measured at load until it is under {@link INLINE_P99_MS}. */
export interface LoadedModel {
  readonly inputs: readonly TensorSpec[]
  readonly outputs: readonly TensorSpec[]
  readonly p99Ms: number
}

/** A session on the serving thread blocks it for its length: only a live model that is quicker than this may stand there. */
export const INLINE_P99_MS = 0.2

export type FromChild =
  | { readonly kind: 'loaded'; readonly call: number; readonly model: LoadedModel }
  | { readonly kind: 'refused'; readonly call: number; readonly message: string }
  /** Whether its answers to a row are the same bits whichever rows it is scored with, as far as its golden rows tell. */
  | { readonly kind: 'proved'; readonly call: number; readonly keepsRowsApart: boolean }
  | { readonly kind: 'scored'; readonly call: number; readonly outcome: ScoreOutcome }
