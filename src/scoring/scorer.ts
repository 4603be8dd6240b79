// The contract of anything that turns input tensors into output tensors: a session, a child process, an HTTP server.
import type { ErrorCode } from '../errors.ts'
import type { InferRequest } from '../protocols/codec.ts'
import type { Tensor } from '../protocols/tensor.ts'

/** A score, or why there is none. A model's failure is data, not an exception. */
export type ScoreOutcome =
  | {
      readonly ok: true
      readonly outputs: readonly Tensor[]
      /**
       * Inside the session, or from the first byte sent to the last received; ms. Of a run that was shared it is the whole,
       * which is what each waited for.
       */
      readonly inferMs: number
      /** Waiting for the scorer's turn, ms. Never part of a latency comparison. */
      readonly queueMs: number
      /** An HTTP server's own answer to this one request, its coding taken off, for comparisons by JSON pointer. */
      readonly raw?: Uint8Array
      /** They came over a protocol that has no datatypes. */
      readonly untyped?: boolean
    }
  | {
      readonly ok: false
      readonly code: Extract<
        ErrorCode,
        | 'BAD_TENSOR'
        | 'VERSION_FAILED'
        | 'VERSION_DEADLINE'
        | 'VERSION_UNREACHABLE'
        | 'VERSION_BROKE_OFF'
        | 'VERSION_NOT_READY'
        | 'ANSWER_TOO_LARGE'
      >
      /** Fit for a client: no paths, no internals. */
      readonly message: string
      readonly inferMs: number
      readonly queueMs: number
    }

/** What a request asks for beside its inputs. Embedded models always give all their outputs. */
export interface AskedFor extends Partial<Pick<InferRequest, 'outputs' | 'parameters'>> {
  /** The inputs are known to fit the model's signature. */
  readonly checked?: boolean
  /** It may share a run with others: the model is proven to keep rows apart (rowsApart.ts). Only a session here does. */
  readonly shares?: boolean
}

export interface Scorer {
  /** Scores one request. Never rejects; after `deadlineMs` the outcome is VERSION_DEADLINE. */
  score(inputs: readonly Tensor[], deadlineMs: number, asked?: AskedFor): Promise<ScoreOutcome>
  /** Lets what is under way finish, then frees everything. Later scores are VERSION_NOT_READY. */
  close(): Promise<void>
}
