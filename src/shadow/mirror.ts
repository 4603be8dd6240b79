// Sends mirrored requests to one candidate: a bounded queue, batches, and nothing that another candidate could feel.
import type { DropReason } from '../evidence/accounting.ts'
import type { InferRequest } from '../protocols/codec.ts'
import { splitOutputs } from '../protocols/rows.ts'
import type { TextRequest } from '../protocols/textRequest.ts'
import { monotonicMs } from '../record/clock.ts'
import type { SnapshotVersion } from '../rollout/snapshot.ts'
import type { ScoreOutcome } from '../scoring/scorer.ts'
import { newSpanId } from '../telemetry/traceContext.ts'
import { goTogether, rowsOf } from './batch.ts'
import type { Observation, Task } from './task.ts'
import { TokenBucket } from './tokenBucket.ts'

/** A request that may go with others: decoded, or with its numbers as they came. */
export type MirroredRequest = InferRequest | TextRequest

/** How a candidate is reached. */
export interface Candidate {
  /** The client's request in this version's names; undefined when it cannot be read. */
  requestFor(task: Task): MirroredRequest | undefined
  /** Scores requests that go together as one, in their order. The outputs come in the clients' names. */
  score(requests: readonly MirroredRequest[], deadlineMs: number): Promise<ScoreOutcome>
  /** Sends one request as the client sent it; undefined where only tensors are understood. */
  readonly sendRaw: ((task: Task, deadlineMs: number, spanId: string) => Promise<ScoreOutcome>) | undefined
  /** Sends under way at once. */
  readonly concurrency: number
  close(): Promise<void>
}

export interface MirrorEnds {
  observed(observation: Observation): void
  dropped(reason: DropReason): void
  /** Left out by `shadow.max`, before anything was sent. */
  notSampled(): void
}

interface Waiting {
  readonly task: Task
  readonly ends: MirrorEnds
  readonly queuedMs: number
}

/** What goes together. */
interface Taken {
  readonly requests: Waiting[]
  /** One request of the latency share. */
  readonly isTimed: boolean
  /** No more were taken, so that the next can go alone for its time. */
  readonly isBeforeTimed: boolean
}

const MAX_QUEUED = 16_384
/**
 * Requests a second that `unbatched` sends alone. Each costs the shadow and this thread as much as a batch of 32, and a
 * hundred times a second are enough for a p99 within a minute. Which they are has nothing to do with how they end.
 */
const MOST_ALONE_PER_SECOND = 100
/** What silence saves up of them, a tenth of a second's: traffic that comes in bursts must not begin each with the dearest. */
const MOST_ALONE_SAVED = 10
/** About as long as until the next look, where traffic does not pause. */
const MOST_HELD_MS = 16
/** Sends without an answer in a row after which a candidate counts as stalled. */
const STALLED_AFTER = 8
/** What a send without an answer ends with: too late, nobody there, or no end of it. */
const NO_ANSWER: ReadonlySet<string> = new Set(['VERSION_DEADLINE', 'VERSION_UNREACHABLE', 'ANSWER_TOO_LARGE'])
/**
 * How long a stalled candidate is left alone: first so long, twice as long after each probe without an answer, at most a
 * second. Where it is not there at all each send would be over at once, and of an answer without end each probe reads as
 * much as an answer may have.
 */
const FIRST_PAUSE_MS = 100
const LONGEST_PAUSE_MS = 1_000

/**
 * Drop policy: newest first when the queue is over its bytes or count; what waits past its deadline goes too. A candidate
 * that has given no answer several times in a row is stalled: it gets one request at a time, to see whether it is back, and
 * the rest is dropped at once instead of being kept for a deadline each.
 */
export class Mirror {
  readonly #candidate: Candidate
  readonly #settings: SnapshotVersion['shadow']
  readonly #maxBytes: number
  #queue: (Waiting | undefined)[] = []
  #head = 0
  #queuedBytes = 0
  #sending = 0
  #sends = 0
  /** Of the sends: the latency share. */
  #timing = 0
  /**
   * One of the share was sent, and the others go when it is answered or a moment later: put together, sent and answered at the
   * same moment they would be in its time. In that of an answer which takes longer they hardly are.
   */
  #holds = false
  /** Of `shadow.max`. */
  readonly #samples: TokenBucket | undefined
  readonly #alone = new TokenBucket(MOST_ALONE_PER_SECOND, MOST_ALONE_SAVED)
  #timer: NodeJS.Timeout | undefined
  #splits = true
  #unbatchedDebt = 0
  #unansweredInARow = 0
  #pauseMs = FIRST_PAUSE_MS
  /** While a stalled candidate is left alone. */
  #pause: NodeJS.Timeout | undefined
  /** Where serving threads look whether it refuses, and what they find there. */
  #told: Int32Array | undefined
  #toldRefuses: boolean | undefined
  #closing: (() => void) | undefined

  constructor(candidate: Candidate, settings: SnapshotVersion['shadow'], maxBytes: number) {
    this.#candidate = candidate
    this.#settings = settings
    this.#maxBytes = maxBytes
    this.#samples = settings.max === undefined ? undefined : new TokenBucket(settings.max, Math.max(1, settings.max))
  }

  /** Requests queued or under way. */
  get inFlight(): number {
    return this.#queue.length - this.#head + this.#sending
  }

  get queuedBytes(): number {
    return this.#queuedBytes
  }

  /** From now on tells here whether all that is offered would be dropped, as a word that is not 0. */
  tell(stalled: SharedArrayBuffer | undefined): void {
    // Serving threads may look there for as long as they load the next revision. What they hand over is dropped here.
    if (this.#told !== undefined) Atomics.store(this.#told, 0, 0)
    this.#told = stalled && new Int32Array(stalled)
    // Whatever a thread that died left there.
    this.#toldRefuses = undefined
    this.#tellRefuses()
  }

  offer(task: Task, ends: MirrorEnds): void {
    if (this.#samples?.take(1) === false) {
      ends.notSampled()
      return
    }
    if (this.#refuses) {
      ends.dropped('stalled')
      return
    }
    if (this.#queuedBytes + task.bytes > this.#maxBytes || this.#queue.length - this.#head >= MAX_QUEUED) {
      ends.dropped('queue_full')
      return
    }
    this.#queue.push({ task, ends, queuedMs: monotonicMs() })
    this.#queuedBytes += task.bytes
    this.#tellRefuses()
  }

  /**
   * Sends what may be sent now. Called after a drain that found something, when a send ends that nothing waits for, and when
   * what waits has waited long enough.
   */
  pump(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#holds = false
    this.#dropExpired()
    this.#tellRefuses()
    let mayTime = true
    while (this.#sends < this.#candidate.concurrency && this.#head < this.#queue.length) {
      const waitMs = this.#settings.wait - (monotonicMs() - this.#queue[this.#head]!.queuedMs)
      const full = this.#queue.length - this.#head >= this.#settings.batch
      // A probe goes alone: nothing else is taken that could fill its batch.
      if (this.#batches && !full && waitMs > 0 && !this.#stalled) {
        this.#timer = setTimeout(() => this.pump(), Math.ceil(waitMs))
        return
      }
      const { requests, isTimed, isBeforeTimed } = this.#takeBatch(mayTime)
      this.#send(requests, isTimed)
      if (!isTimed) mayTime = isBeforeTimed
      else if (this.#timing === 1) {
        this.#holds = true
        break
      }
    }
    if (this.#head < this.#queue.length && this.#timer === undefined) {
      // Where all slots are busy what waits must still fall out of the queue at its deadline.
      this.#timer = setTimeout(() => this.pump(), this.#holds ? MOST_HELD_MS : 100)
    }
    if (this.inFlight === 0) this.#closing?.()
  }

  /** Sends what waits, then closes the candidate. */
  async close(): Promise<void> {
    if (this.inFlight > 0) await new Promise<void>(resolve => (this.#closing = resolve))
    clearTimeout(this.#timer)
    clearTimeout(this.#pause)
    await this.#candidate.close()
  }

  get #stalled(): boolean {
    return this.#unansweredInARow >= STALLED_AFTER
  }

  /** One request at a time is enough to see whether a stalled candidate is back, and it is left alone in between. */
  get #refuses(): boolean {
    return this.#stalled && (this.inFlight > 0 || this.#pause !== undefined)
  }

  get #batches(): boolean {
    return this.#splits && this.#settings.batch > 1 && this.#settings.unbatched < 100
  }

  #next(): Waiting | undefined {
    const waiting = this.#queue[this.#head]
    if (waiting === undefined) return undefined
    // What was taken must not live as long as the array does: once that is old, everything a request holds would be too.
    this.#queue[this.#head++] = undefined
    this.#queuedBytes -= waiting.task.bytes
    // shift() on a long array moves all of it: the front is cut off once it is half of the queue.
    if (this.#head > 64 && this.#head * 2 > this.#queue.length) {
      this.#queue = this.#queue.slice(this.#head)
      this.#head = 0
    }
    return waiting
  }

  #dropExpired(): void {
    const oldest = monotonicMs() - this.#settings.deadline
    while (this.#head < this.#queue.length && this.#queue[this.#head]!.queuedMs < oldest) {
      this.#next()?.ends.dropped('expired')
    }
  }

  /**
   * One request alone (the latency share, or what does not batch), or as many compatible ones as `batch` rows hold. The
   * share is taken of those whose live time is evidence, where there are others: only these make a pair of times.
   * @param mayTime nothing was sent a moment ago, behind which one of the share would wait
   */
  #takeBatch(mayTime: boolean): Taken {
    const first = this.#next()!
    // A comparison by JSON pointer needs each answer as it was given.
    const batches = this.#batches && !first.task.comparesJson
    const request = batches ? this.#candidate.requestFor(first.task) : undefined
    const rows = request === undefined ? undefined : rowsOf(request)
    const { untimed } = first.task.record
    this.#owe()
    const isTimed = mayTime && this.#unbatchedDebt >= 1 && !untimed
    if (request === undefined || rows === undefined || isTimed) {
      this.#unbatchedDebt = Math.max(0, this.#unbatchedDebt - 1)
      return { requests: [first], isTimed: isTimed && rows !== undefined, isBeforeTimed: false }
    }
    const batch = [first]
    let total = rows
    let isBeforeTimed = false
    while (this.#head < this.#queue.length) {
      const { task } = this.#queue[this.#head]!
      isBeforeTimed = mayTime && untimed && !task.record.untimed && this.#unbatchedDebt >= 1
      if (isBeforeTimed) break
      const next = this.#candidate.requestFor(task)
      if (next === undefined || !goTogether(request, next)) break
      const more = rowsOf(next)
      if (more === undefined || total + more > this.#settings.batch) break
      this.#owe()
      total += more
      batch.push(this.#next()!)
    }
    return { requests: batch, isTimed: false, isBeforeTimed }
  }

  /** What cannot be had, since too few are timed, is not owed for ever. */
  #owe(): void {
    const { unbatched, batch } = this.#settings
    const share = unbatched / 100
    if (this.#alone.take(share)) this.#unbatchedDebt = Math.min(batch, this.#unbatchedDebt + share)
  }

  #send(batch: Waiting[], isTimed: boolean): void {
    const isProbe = this.#stalled
    this.#sends++
    if (isTimed) this.#timing++
    this.#sending += batch.length
    const sent = batch.length === 1 ? this.#sendOne(batch[0]!) : this.#sendBatch(batch)
    // Deliberately not awaited: the queue goes on, and neither send rejects.
    void sent.then(outcome => {
      this.#sends--
      if (isTimed) {
        this.#timing--
        this.#holds = false
      }
      this.#sending -= batch.length
      this.#ended(outcome, isProbe)
      if (!this.#holds) this.pump()
    })
  }

  #ended(outcome: ScoreOutcome, isProbe: boolean): void {
    clearTimeout(this.#pause)
    this.#pause = undefined
    if (outcome.ok || !NO_ANSWER.has(outcome.code)) {
      this.#unansweredInARow = 0
      return
    }
    this.#unansweredInARow++
    if (!this.#stalled) return
    this.#pauseMs = isProbe ? Math.min(LONGEST_PAUSE_MS, this.#pauseMs * 2) : FIRST_PAUSE_MS
    this.#pause = setTimeout(() => {
      this.#pause = undefined
      this.#tellRefuses()
    }, this.#pauseMs)
    while (this.#head < this.#queue.length) this.#next()?.ends.dropped('stalled')
  }

  #tellRefuses(): void {
    const refuses = this.#refuses
    if (this.#told === undefined || refuses === this.#toldRefuses) return
    this.#toldRefuses = refuses
    Atomics.store(this.#told, 0, refuses ? 1 : 0)
  }

  async #sendOne({ task, ends }: Waiting): Promise<ScoreOutcome> {
    const { sendRaw } = this.#candidate
    // Its server's own spans then belong to it. A batch is of many traces, and is told none.
    const spanId = sendRaw === undefined ? '' : newSpanId()
    const sentMs = monotonicMs()
    const { deadline } = this.#settings
    const outcome = await settled(async () => {
      if (sendRaw !== undefined) return sendRaw(task, deadline, spanId)
      const request = this.#candidate.requestFor(task)
      return request === undefined ? unreadable() : this.#candidate.score([request], deadline)
    })
    ends.observed({ outcome, batched: false, sentMs, spanId })
    return outcome
  }

  async #sendBatch(batch: Waiting[]): Promise<ScoreOutcome> {
    const requests = batch.map(({ task }) => this.#candidate.requestFor(task)!)
    const sentMs = monotonicMs()
    const outcome = await settled(async () => this.#candidate.score(requests, this.#settings.deadline))
    const parts = outcome.ok
      ? splitOutputs(
          outcome.outputs,
          requests.map(each => rowsOf(each)!),
        )
      : undefined
    if (outcome.ok && parts !== undefined) {
      for (let index = 0; index < batch.length; index++) {
        batch[index]!.ends.observed({
          outcome: { ok: true, outputs: parts[index]!, inferMs: outcome.inferMs, queueMs: outcome.queueMs },
          batched: true,
          sentMs,
          spanId: '',
        })
      }
      return outcome
    }
    // Either the model does not keep rows apart, or one request failed the others: live scored each alone, so each is
    // asked for alone, all at once, or the last would wait for the deadlines of all the others. What did not answer in time,
    // without end or not at all would not for each of them either.
    if (outcome.ok) this.#splits = false
    if (!outcome.ok && GIVEN_UP.has(outcome.code)) {
      for (const { ends } of batch) ends.observed({ outcome, batched: true, sentMs, spanId: '' })
    } else await Promise.all(batch.map(waiting => this.#sendOne(waiting)))
    return outcome
  }
}

/** A candidate's outcome whatever happens: a request that never ended would keep its epoch open for ever. */
async function settled(score: () => Promise<ScoreOutcome>): Promise<ScoreOutcome> {
  try {
    return await score()
  } catch {
    return { ok: false, code: 'VERSION_FAILED', message: 'the candidate could not be asked', inferMs: 0, queueMs: 0 }
  }
}

const GIVEN_UP: ReadonlySet<string> = new Set([...NO_ANSWER, 'VERSION_NOT_READY'])

function unreadable(): ScoreOutcome {
  return { ok: false, code: 'BAD_TENSOR', message: 'the request cannot be read', inferMs: 0, queueMs: 0 }
}
