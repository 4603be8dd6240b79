// Starts, feeds and restarts the serving threads and the shadow thread. Knows messages, not what they mean.
import { createServer } from 'node:net'
import { Worker } from 'node:worker_threads'
import type { RoutesFile } from '../config/schema.ts'
import { messageOf, UnderstudyError } from '../errors.ts'
import { createDoorbell, createRing } from '../record/ring.ts'
import type { Snapshot } from '../rollout/snapshot.ts'
import type { LoadedModel, VerifyModel } from '../scoring/message.ts'
import type { FromServing, ServingData, ToServing } from '../serving/message.ts'
import type { Found } from '../shadow/explanation.ts'
import type { FromShadow, Promotion, ShadowData, ToShadow } from '../shadow/message.ts'
import { SERVING_LIMITS, SHADOW_LIMITS, setHeapFlags } from './heaps.ts'
import { Questions } from './questions.ts'
import { Verifications } from './verifications.ts'
import type { ThreadLoop } from './vitals.ts'

export interface ThreadEvents {
  /** `tick` and `ask` of a serving thread. */
  serving(thread: string, message: FromServing): void
  shadow(message: FromShadow): void
  joined(thread: string): void
  /** A thread ended without being asked to. */
  died(thread: string, error: Error | undefined): void
  /** Something of a thread that nobody waits for did not work, and goes on without it. */
  late(thread: string, message: string): void
}

export interface ThreadOptions {
  readonly host: string
  readonly port: number
  readonly serving: number
  readonly ringBytes: RoutesFile['mirror']['ring']
  readonly originMs: number
  readonly wallShiftMs: number
  readonly events: ThreadEvents
}

interface Serving {
  readonly id: number
  readonly worker: Worker
  applied: number
  ended: boolean
}

export const SHADOW = 'shadow'
const APPLY_DEADLINE_MS = 60_000
/** A shadow thread that is down or busy loading must not hold up a rollback. */
const SHADOW_APPLY_MS = 2_000
/** What a thread may take to end beyond its drain, before it is ended. */
const STOP_SLACK_MS = 5_000
const TERMINATE_MS = 2_000
const RESTART_MS = 500

export class Threads {
  readonly #options: ThreadOptions
  readonly #doorbell = createDoorbell()
  readonly #serving = new Map<number, Serving>()
  readonly #waiters = new Set<() => void>()
  readonly #verifications = new Verifications((call, model) => this.#tellShadow({ kind: 'verify', call, model }))
  readonly #questions = new Questions((call, requestId, route) =>
    this.#tellShadow({ kind: 'explain', call, requestId, route }),
  )
  #shadow: Worker
  #shadowApplied = -1
  #shadowEnded = false
  #snapshot: Snapshot | undefined
  /** Digests of models that keep rows apart: a few bytes for each model that ever was, and true for ever. */
  readonly #proven = new Set<string>()
  #port: number
  /** Serving threads that are wanted: elsewhere than on Linux they cannot share a port. */
  readonly #threads: number
  #nextId = 1
  #stopping = false

  constructor(options: ThreadOptions) {
    this.#options = options
    this.#port = options.port
    this.#threads = process.platform === 'linux' ? options.serving : 1
    setHeapFlags()
    this.#shadow = this.#startShadow()
  }

  /** The port that the serving threads listen on. */
  get port(): number {
    return this.#port
  }

  /** Serving threads that are up. */
  get servingCount(): number {
    return this.#serving.size
  }

  /** How busy each thread's event loop was, read from here at no cost to it. */
  loops(): ThreadLoop[] {
    const loopOf = (thread: string, { threadId, performance }: Worker): ThreadLoop => ({
      thread,
      id: threadId,
      busyMs: performance.eventLoopUtilization().active,
    })
    return [
      { thread: 'control', id: 0, busyMs: performance.eventLoopUtilization().active },
      ...(this.#shadowEnded ? [] : [loopOf(SHADOW, this.#shadow)]),
      ...[...this.#serving.values()].map(({ id, worker }) => loopOf(`serving-${id}`, worker)),
    ]
  }

  /** Starts the serving threads; resolves when all listen. @throws when the port cannot be had */
  async serve(snapshot: Snapshot): Promise<void> {
    this.#snapshot = snapshot
    const { host, port } = this.#options
    if (this.#threads > 1 && port !== 0) await takeAlone(host, port)
    await this.#applyToShadow(snapshot, APPLY_DEADLINE_MS)
    // One after another: with port 0 the first one learns the port that the others share.
    for (let count = 0; count < this.#threads; count++) await this.#startServing()
  }

  /** Loads a model in a scoring process and checks its golden vectors; settles within a minute. @throws MODEL_BROKEN */
  verify(model: VerifyModel): Promise<LoadedModel> {
    return this.#verifications.ask(model)
  }

  /** What the shadow thread remembers of a request id, within two seconds. @throws OVERLOADED, INTERNAL */
  explain(requestId: string, route: string | undefined): Promise<Found> {
    return this.#questions.ask(requestId, route)
  }

  /** Hands a new revision to every thread; resolves when all serving threads have acknowledged it. */
  async apply(snapshot: Snapshot): Promise<void> {
    this.#snapshot = snapshot
    // The shadow thread first, so that it knows a revision before records name it; but live traffic does not wait for it.
    // One that is down gets the newest revision when it starts again.
    const { events } = this.#options
    if (!this.#shadowEnded) {
      await this.#applyToShadow(snapshot, SHADOW_APPLY_MS).catch(error =>
        events.late(SHADOW, `has not taken revision ${snapshot.revision} yet: ${messageOf(error)}`),
      )
    }
    for (const { worker } of this.#serving.values())
      worker.postMessage({ kind: 'snapshot', snapshot } satisfies ToServing)
    await this.#until(() => [...this.#serving.values()].every(each => each.ended || each.applied >= snapshot.revision))
  }

  answer(thread: string, call: number, answer: { status: number; body: string }): void {
    const serving = this.#serving.get(Number(thread.slice('serving-'.length)))
    serving?.worker.postMessage({ kind: 'answer', call, ...answer } satisfies ToServing)
  }

  promoted(promotion: Promotion): void {
    this.#tellShadow({ kind: 'promoted', promotion })
  }

  /** Drains the serving threads, then the shadow thread; each ends by itself, or is ended a while after its deadline. */
  async stop(delayMs: number, deadlineMs: number): Promise<void> {
    this.#stopping = true
    const { events } = this.#options
    for (const { worker } of this.#serving.values()) {
      worker.postMessage({ kind: 'drain', delayMs, deadlineMs } satisfies ToServing)
    }
    await this.#until(() => this.#serving.size === 0, delayMs + deadlineMs + STOP_SLACK_MS).catch(async () => {
      for (const { id, worker } of [...this.#serving.values()]) {
        events.late(`serving-${id}`, 'did not end in time and is ended')
        await terminated(worker)
      }
    })
    this.#tellShadow({ kind: 'stop' })
    await this.#until(() => this.#shadowEnded, deadlineMs + STOP_SLACK_MS).catch(async () => {
      events.late(SHADOW, 'did not end in time and is ended')
      await terminated(this.#shadow)
    })
    this.#verifications.end()
  }

  #startShadow(): Worker {
    const { originMs, wallShiftMs, events } = this.#options
    const worker = new Worker(new URL('../shadow/thread.ts', import.meta.url), {
      name: SHADOW,
      workerData: { doorbell: this.#doorbell, originMs, wallShiftMs } satisfies ShadowData,
      resourceLimits: SHADOW_LIMITS,
    })
    this.#shadowEnded = false
    events.joined(SHADOW)
    let error: Error | undefined
    worker.on('message', (message: FromShadow) => {
      if (message.kind === 'applied') this.#shadowApplied = message.revision
      else if (message.kind === 'verified') this.#verifications.verified(message.call, message.model)
      else if (message.kind === 'refused') this.#verifications.refused(message.call, message.message)
      else if (message.kind === 'explained') this.#questions.answered(message.call, message.found)
      else if (message.kind === 'proven') this.#tellProven(message.sha256)
      events.shadow(message)
      this.#wake()
    })
    worker.on('error', cause => (error = cause as Error))
    worker.on('exit', () => {
      this.#shadowEnded = true
      this.#questions.down()
      this.#wake()
      if (this.#stopping) return
      events.died(SHADOW, error)
      this.#verifications.down()
      setTimeout(() => this.#restartShadow(), RESTART_MS)
    })
    return worker
  }

  /** Serving threads that start later learn it with their first snapshot. */
  #tellProven(sha256: string): void {
    this.#proven.add(sha256)
    for (const { worker } of this.#serving.values()) worker.postMessage({ kind: 'proven', sha256 } satisfies ToServing)
  }

  /** Live traffic never notices: the rings fill up and drop, counted, until the new thread drains them. */
  #restartShadow(): void {
    if (this.#stopping) return
    this.#shadow = this.#startShadow()
    this.#shadowApplied = -1
    for (const { id, ring } of this.#rings.values()) this.#tellShadow({ kind: 'ring', thread: id, ring })
    if (this.#snapshot) this.#tellShadow({ kind: 'snapshot', snapshot: this.#snapshot })
    this.#verifications.up()
  }

  readonly #rings = new Map<number, { id: number; ring: SharedArrayBuffer }>()

  async #startServing(): Promise<void> {
    const { host, originMs, ringBytes, events } = this.#options
    const id = this.#nextId++
    const name = `serving-${id}`
    const ring = createRing(ringBytes)
    this.#rings.set(id, { id, ring })
    this.#tellShadow({ kind: 'ring', thread: id, ring })
    const worker = new Worker(new URL('../serving/thread.ts', import.meta.url), {
      name,
      workerData: {
        host,
        port: this.#port,
        // A second process must not share the port in silence, so a single thread takes it alone.
        reusePort: this.#threads > 1,
        ring,
        doorbell: this.#doorbell,
        originMs,
        snapshot: this.#snapshot!,
        proven: [...this.#proven],
      } satisfies ServingData,
      resourceLimits: SERVING_LIMITS,
    })
    const thread: Serving = { id, worker, applied: -1, ended: false }
    this.#serving.set(id, thread)
    events.joined(name)
    let error: Error | undefined
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => {
        reject(new UnderstudyError('INTERNAL', `${name} did not start in time`))
        void worker.terminate()
      }, APPLY_DEADLINE_MS)
      worker.on('message', (message: FromServing) => {
        if (message.kind === 'listening') {
          this.#port = message.port
          clearTimeout(timer)
          resolve()
        } else if (message.kind === 'refused') {
          reject(cannotListen(host, this.#port, message.message))
        } else if (message.kind === 'applied') thread.applied = message.revision
        events.serving(name, message)
        this.#wake()
      })
      worker.on('error', cause => {
        error = cause as Error
        reject(error)
      })
      worker.on('exit', () => {
        thread.ended = true
        this.#serving.delete(id)
        this.#rings.delete(id)
        this.#tellShadow({ kind: 'ringEnded', thread: id })
        this.#wake()
        clearTimeout(timer)
        reject(error ?? new UnderstudyError('INTERNAL', `${name} ended before it listened`))
        if (this.#stopping) return
        events.died(name, error)
        setTimeout(() => void this.#restartServing(), RESTART_MS)
      })
    })
  }

  async #restartServing(): Promise<void> {
    if (this.#stopping) return
    // A thread that cannot start now is tried again when its exit is seen.
    await this.#startServing().catch(error => this.#options.events.late('serving', messageOf(error)))
  }

  async #applyToShadow(snapshot: Snapshot, deadlineMs: number): Promise<void> {
    this.#tellShadow({ kind: 'snapshot', snapshot })
    await this.#until(() => this.#shadowApplied >= snapshot.revision, deadlineMs)
  }

  /** Waits for what messages bring about. @throws INTERNAL after the deadline */
  async #until(done: () => boolean, deadlineMs = APPLY_DEADLINE_MS): Promise<void> {
    if (done()) return
    await new Promise<void>((resolve, reject) => {
      const check = () => {
        if (!done()) return
        clearTimeout(timer)
        this.#waiters.delete(check)
        resolve()
      }
      const timer = setTimeout(() => {
        this.#waiters.delete(check)
        reject(new UnderstudyError('INTERNAL', 'a thread did not answer in time'))
      }, deadlineMs)
      this.#waiters.add(check)
    })
  }

  #wake(): void {
    for (const check of [...this.#waiters]) check()
  }

  #tellShadow(message: ToShadow): void {
    this.#shadow.postMessage(message)
  }
}

/**
 * Binds the port once without sharing it: two gateways that both share theirs would each get half of the connections,
 * and neither would notice.
 * @throws BAD_CONFIGURATION when somebody listens there
 */
async function takeAlone(host: string, port: number): Promise<void> {
  const server = createServer()
  await new Promise<void>((resolve, reject) => {
    server.once('error', error => reject(cannotListen(host, port, messageOf(error))))
    server.listen({ host, port, exclusive: true }, resolve)
  })
  await new Promise<void>(resolve => server.close(() => resolve()))
}

/** Ends a thread from outside; one inside a native call cannot be ended, and is left to the end of the process. */
async function terminated(worker: Worker): Promise<void> {
  const deadline = Promise.withResolvers<void>()
  const timer = setTimeout(deadline.resolve, TERMINATE_MS)
  await Promise.race([worker.terminate(), deadline.promise])
  clearTimeout(timer)
}

function cannotListen(host: string, port: number, why: string): UnderstudyError {
  return new UnderstudyError('BAD_CONFIGURATION', `cannot listen on ${host}:${port}: ${why}`)
}
