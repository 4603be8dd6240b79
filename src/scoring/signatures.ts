// What a model server says its model's tensors are, asked for when it is needed and asked again now and then.
import type { Codec, Signature } from '../protocols/codec.ts'
import type { Upstream } from './upstream.ts'

const KNOWN_MS = 60_000
const UNKNOWN_MS = 5_000
const ASK_DEADLINE_MS = 2_000

export class SignatureSource {
  readonly #upstream: Upstream
  readonly #codec: Codec
  readonly #model: string
  #known: Signature | undefined
  #first: Promise<void> | undefined
  #askAgainAt = 0

  constructor(upstream: Upstream, codec: Codec, model: string) {
    this.#upstream = upstream
    this.#codec = codec
    this.#model = model
  }

  /**
   * The signature; undefined when the server tells none. Waits for the first answer only, `waitMs` at most: later ones
   * come in the background, since a server that has become slow at telling it may still be quick at predicting.
   */
  async of(waitMs: number): Promise<Signature | undefined> {
    const now = performance.now()
    if (now >= this.#askAgainAt) {
      this.#askAgainAt = now + UNKNOWN_MS
      const asking = this.#ask(Math.min(waitMs, ASK_DEADLINE_MS))
      this.#first ??= asking
    }
    if (this.#known === undefined) await this.#first
    return this.#known
  }

  async #ask(deadlineMs: number): Promise<void> {
    const path = this.#codec.metadataPath(this.#model)
    if (path === undefined) {
      this.#askAgainAt = Number.POSITIVE_INFINITY
      return
    }
    const answer = await this.#upstream.send({ method: 'GET', path, headers: [], body: undefined, deadlineMs })
    if (!answer.ok || answer.status !== 200) return
    try {
      const signature = this.#codec.decodeMetadata(answer.body.whole, this.#upstream.answerLimits)
      if (signature === undefined) return
      this.#known = signature
      this.#askAgainAt = performance.now() + KNOWN_MS
    } catch {
      // It tells something else than its protocol has: as if it told nothing.
    }
  }
}
