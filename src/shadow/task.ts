// One recorded request on its way to its candidates: decoded lazily, and at most once.
import type { Outputs } from '../evidence/compare.ts'
import { parseJson } from '../protocols/json.ts'
import { decodeInferRequest, decodeInferResponse, type InferRequest } from '../protocols/openInference.ts'
import type { Tensor } from '../protocols/tensor.ts'
import { OUTCOME, type RequestRecord } from '../record/format.ts'
import type { SnapshotRoute, SnapshotVersion } from '../rollout/snapshot.ts'
import type { ScoreOutcome } from '../scoring/scorer.ts'

/** What a version did with a request that another one has answered. */
export interface Observation {
  readonly outcome: ScoreOutcome
  /** Sent with others: its latency says nothing about one request. */
  readonly batched: boolean
  /** Monotonic ms at which it was sent. */
  readonly sentMs: number
}

export class Task {
  readonly record: RequestRecord
  readonly route: SnapshotRoute
  #request: InferRequest | undefined | null
  #served: Outputs | undefined | null

  constructor(record: RequestRecord, route: SnapshotRoute) {
    this.record = record
    this.route = route
  }

  /** Bytes that this task keeps in memory. */
  get bytes(): number {
    return this.record.request.length + this.record.answer.length + 512
  }

  /** Whether the version that served it answered with a prediction. */
  get servedOk(): boolean {
    return this.record.outcome === OUTCOME.ok
  }

  /** The request's tensors; undefined when it is not a V2 request. */
  get inputs(): readonly Tensor[] | undefined {
    return this.#decodedRequest?.inputs
  }

  /** Names of the outputs that the client asked for; undefined: all. */
  get requestedOutputs(): readonly string[] | undefined {
    return this.#decodedRequest?.outputs
  }

  /** Whether the compared outputs are JSON pointers into the answer, rather than tensors. */
  get comparesJson(): boolean {
    return this.route.compare.some(({ output }) => output?.startsWith('/'))
  }

  /** The outputs that were served; undefined when the answer cannot be read. */
  get served(): Outputs | undefined {
    if (this.#served === undefined) {
      const { answer } = this.record
      const { limits } = this.route
      this.#served = attempt(() =>
        this.comparesJson
          ? { json: parseJson(answer, limits.depth) }
          : { tensors: decodeInferResponse(answer, limits).outputs },
      )
    }
    return this.#served ?? undefined
  }

  get #decodedRequest(): InferRequest | undefined {
    if (this.#request === undefined) {
      this.#request = attempt(() => decodeInferRequest(this.record.request, this.route.limits))
    }
    return this.#request ?? undefined
  }
}

function attempt<T>(read: () => T): T | null {
  try {
    return read()
  } catch {
    return null
  }
}

export function liveOf(route: SnapshotRoute): SnapshotVersion | undefined {
  return route.versions.find(version => version.version === route.live)
}
