// One address of one version: so many calls at once and no more, the others in a queue. It shares its connections.
import { performance } from 'node:perf_hooks'
import { Pieces } from '../record/pieces.ts'
import { Exchange, type UpstreamAnswer, type UpstreamCall } from './exchange.ts'
import { type InLine, Line } from './line.ts'
import type { PoolShare } from './sharedPools.ts'

export interface LaneOptions {
  readonly share: PoolShare
  /** Goes before every path. */
  readonly prefix: string
  /** Largest answer accepted, bytes. */
  readonly maxAnswerBytes: number
  /** Most calls under way at once. The queue behind them has no bound: whoever sends limits what is under way. */
  readonly limit: number
}

export class Lane {
  readonly #options: LaneOptions
  readonly #underWay = new Line<LaneCall>()
  /** A call that is settled while it waits is in it no longer. */
  readonly #waiting = new Line<LaneCall>()
  /** Of the deadline that is next. A timer for each call would be made and cleared with every request. */
  #timer: NodeJS.Timeout | undefined
  #timerAt = Number.POSITIVE_INFINITY
  #filling = false
  #ending = false
  #left = false
  #whenEmpty: (() => void)[] = []

  constructor(options: LaneOptions) {
    this.#options = options
  }

  /** `answered` is called once, perhaps before this returns, and must not throw. */
  call(call: UpstreamCall, answered: (answer: UpstreamAnswer) => void): void {
    const { maxAnswerBytes, limit } = this.#options
    if (!this.#ending && this.#underWay.length < limit) {
      const sent = new LaneCall(this, maxAnswerBytes, call, answered)
      this.#watch(sent.dueAt)
      this.#dispatch(sent)
      return
    }
    const settled = (answer: UpstreamAnswer) => {
      this.#waiting.leave(waiting)
      this.#tellIfEmpty()
      answered(answer)
    }
    const waiting = new LaneCall(this, maxAnswerBytes, call, settled)
    if (this.#ending) waiting.onResponseError(undefined, new LaneEnded())
    else {
      this.#watch(waiting.dueAt)
      this.#waiting.join(waiting)
    }
  }

  /** The call uses its connection no longer. */
  free(call: LaneCall): void {
    if (!this.#underWay.leave(call)) return
    this.#fill()
    this.#tellIfEmpty()
  }

  /** Deadlines may be here. */
  onTime(): void {
    this.#timerAt = Number.POSITIVE_INFINITY
    const now = performance.now()
    let nextMs = Number.POSITIVE_INFINITY
    for (const call of [...this.#waiting.all(), ...this.#underWay.all()]) nextMs = Math.min(nextMs, call.lookAt(now))
    this.#watch(now + nextMs)
  }

  /** Takes no more calls, and ends with the last that it has. */
  async close(): Promise<void> {
    this.#ending = true
    if (!this.#isEmpty()) await new Promise<void>(resolve => this.#whenEmpty.push(resolve))
    if (this.#leaves()) await this.#options.share.close()
  }

  /** Ends at once; its calls fail. Those of others on the same connections do not. */
  async destroy(): Promise<void> {
    this.#ending = true
    const calls = [...this.#waiting.all(), ...this.#underWay.all()]
    for (const waiting of this.#waiting.all()) this.#waiting.leave(waiting)
    const leaves = this.#leaves()
    for (const call of calls) call.onResponseError(undefined, new LaneEnded())
    if (leaves) await this.#options.share.destroy()
  }

  #watch(dueAt: number): void {
    if (dueAt >= this.#timerAt) return
    clearTimeout(this.#timer)
    this.#timerAt = dueAt
    // A call keeps its thread alive by its connection; the timer may outlive the last of them.
    // A busy thread may come to it too late, and node prints a warning for a time that is negative.
    const leftMs = Math.max(1, Math.ceil(dueAt - performance.now()))
    this.#timer = setTimeout(onTime, leftMs, this).unref()
  }

  /** In a loop: a call that cannot be sent frees its place before `dispatch` returns. */
  #fill(): void {
    if (this.#filling) return
    this.#filling = true
    while (this.#waiting.first !== undefined && this.#underWay.length < this.#options.limit) {
      const next = this.#waiting.first
      this.#waiting.leave(next)
      this.#dispatch(next)
    }
    this.#filling = false
  }

  #dispatch(sent: LaneCall): void {
    this.#underWay.join(sent)
    const { method, path } = sent.call
    const { headers, body } = content(sent.call)
    const { share, prefix } = this.#options
    share.dispatch({ method, path: prefix + path, headers, body }, sent)
  }

  #isEmpty(): boolean {
    return this.#underWay.length === 0 && this.#waiting.length === 0
  }

  #tellIfEmpty(): void {
    if (this.#whenEmpty.length === 0 || !this.#isEmpty()) return
    for (const tell of this.#whenEmpty.splice(0)) tell()
  }

  /** Whether the pool is to be left now: it is left once. */
  #leaves(): boolean {
    if (this.#left) return false
    this.#left = true
    clearTimeout(this.#timer)
    return true
  }
}

// One function for all lanes, instead of a closure each.
function onTime(lane: Lane): void {
  lane.onTime()
}

/** An exchange that holds one of its lane's places until undici is done with it, which may be later than its answer. */
class LaneCall extends Exchange implements InLine<LaneCall> {
  readonly call: UpstreamCall
  line: Line<LaneCall> | undefined
  before: LaneCall | undefined
  after: LaneCall | undefined
  readonly #lane: Lane

  constructor(lane: Lane, maxBytes: number, call: UpstreamCall, resolve: (answer: UpstreamAnswer) => void) {
    super(maxBytes, call, resolve)
    this.call = call
    this.#lane = lane
  }

  override onResponseEnd(): void {
    super.onResponseEnd()
    this.#lane.free(this)
  }

  override onResponseError(control: unknown, error: Error): void {
    super.onResponseError(control, error)
    this.#lane.free(this)
  }
}

/** The code that undici gives for a pool that has ended. */
class LaneEnded extends Error {
  readonly code = 'UND_ERR_DESTROYED'
}

interface Content {
  readonly headers: string[]
  readonly body: Buffer | null
}

/** Several pieces are sent one after another, and then nobody but us knows how long they are together. */
function content({ headers, body }: UpstreamCall): Content {
  const writes = body instanceof Pieces ? body.writes : []
  const several = body instanceof Pieces && writes.length > 1
  const sent = !(body instanceof Pieces) ? body : several ? writes : body.whole
  return {
    headers: (several ? [...headers, 'content-length', String(body.length)] : headers) as string[],
    // undici's types know buffers and node's streams; it takes whatever can be iterated.
    body: (sent as Buffer | undefined) ?? null,
  }
}
