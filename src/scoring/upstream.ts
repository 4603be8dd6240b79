// Model servers behind HTTP: sends bytes, gives back bytes and what went wrong.
import type { DecodeLimits } from '../protocols/codec.ts'
import type { UpstreamAnswer, UpstreamCall } from './exchange.ts'
import { Lane } from './lane.ts'
import { shareOfPool } from './sharedPools.ts'

export interface UpstreamOptions {
  readonly urls: readonly string[]
  readonly connectMs: number
  readonly firstByteMs: number
  /** Largest answer accepted, bytes. */
  readonly maxAnswerBytes: number
  /** Most requests under way at once to one address; further ones wait. */
  readonly connections: number
}

/** One HTTP version: its addresses in turn. Kept-alive connections are shared with others that are reached alike. */
export class Upstream {
  /** Of what it answers. An object of its own: by it decoders remember what answers look like, see `knownMessages`. */
  readonly answerLimits: DecodeLimits = { depth: 64, elements: 64_000_000 }
  readonly #lanes: readonly Lane[]
  #turn = 0

  constructor({ urls, connectMs, firstByteMs, maxAnswerBytes, connections }: UpstreamOptions) {
    this.#lanes = urls.map(address => {
      const { origin, pathname } = new URL(address)
      const share = shareOfPool({ origin, connectMs, firstByteMs })
      return new Lane({ share, prefix: pathname.replace(/\/$/, ''), maxAnswerBytes, limit: connections })
    })
  }

  /** Sends one call. Never rejects; redirects are not followed and nothing is retried. */
  send(call: UpstreamCall): Promise<UpstreamAnswer> {
    return new Promise(resolve => this.call(call, resolve))
  }

  /** The same without a promise. `answered` is called once, perhaps before this returns, and must not throw. */
  call(call: UpstreamCall, answered: (answer: UpstreamAnswer) => void): void {
    this.#lanes[this.#turn++ % this.#lanes.length]!.call(call, answered)
  }

  async close(): Promise<void> {
    await Promise.all(this.#lanes.map(lane => lane.close()))
  }

  /** Ends at once; calls under way fail. */
  async destroy(): Promise<void> {
    await Promise.all(this.#lanes.map(lane => lane.destroy()))
  }
}
