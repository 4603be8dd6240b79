// Entry of the shadow thread: drains the rings, mirrors, compares, and posts evidence. No client ever waits for it.
import { parentPort, workerData } from 'node:worker_threads'
import { messageOf } from '../errors.ts'
import { EPOCH_MS, epochAt, monotonicMs } from '../record/clock.ts'
import { isAwaited, readRecord } from '../record/format.ts'
import { nap, RingConsumer, sleep } from '../record/ring.ts'
import type { Snapshot } from '../rollout/snapshot.ts'
import { ScoringProcess } from '../scoring/pool.ts'
import { Checkers } from './checkers.ts'
import { Comparer } from './compare.ts'
import type { Found } from './explanation.ts'
import type { FromShadow, ShadowData, ToShadow } from './message.ts'
import { Proofs } from './proofs.ts'

const data = workerData as ShadowData
const port = parentPort!
const scoring = new ScoringProcess()
const comparer = new Comparer({ process: scoring, wallShiftMs: data.wallShiftMs, originMs: data.originMs })
const rings = new Map<number, { consumer: RingConsumer; ended: boolean }>()

// While records come, looking now and then costs less than being woken for each of them. On a processor that it shares with a
// serving thread each look empties the caches of both: with one every 4 ms a request took 6 % more of their time.
const NAP_MS = 16
const SLEEP_MS = 1_000
/** Empty looks before sleeping: at fifty requests a second a sleep between them would make most of them ring the bell. */
const QUIET_LOOKS = 4

let stopping = false
let settledEpoch = -1

port.on('message', (message: ToShadow) => void receive(message))
const ticking = setInterval(tick, EPOCH_MS)
void loop()

async function receive(message: ToShadow): Promise<void> {
  switch (message.kind) {
    case 'ring':
      rings.set(message.thread, { consumer: new RingConsumer(message.ring), ended: false })
      return
    case 'ringEnded': {
      const ring = rings.get(message.thread)
      if (ring) ring.ended = true
      return
    }
    case 'snapshot':
      return apply(message.snapshot)
    case 'verify':
      return verify(message.call, message.model)
    case 'promoted':
      return comparer.promoted(message.promotion)
    case 'explain':
      return tell({ kind: 'explained', call: message.call, found: explained(message.requestId, message.route) })
    case 'stop':
      return stop()
  }
}

/** A request that cannot be explained must not end this thread. */
function explained(requestId: string, route: string | undefined): Found | undefined {
  try {
    // What nobody waits for may still lie in a ring.
    drain()
    return comparer.explain(requestId, route)
  } catch {
    return undefined
  }
}

let applying: Promise<void> = Promise.resolve()

function apply(snapshot: Snapshot): Promise<void> {
  applying = applying.then(async () => {
    const broken = await comparer.apply(snapshot)
    tell({ kind: 'applied', revision: snapshot.revision, broken })
  })
  return applying
}

const checkers = new Checkers()
const proofs = new Proofs({ proven: sha256 => tell({ kind: 'proven', sha256 }) })

/** Loads a model and checks its golden vectors, before any thread may use it. */
async function verify(call: number, model: Extract<ToShadow, { kind: 'verify' }>['model']): Promise<void> {
  const checked = checkers.check(model)
  // Deliberately not awaited: nobody waits for a proof.
  void proofs.follow(model, checked)
  try {
    tell({ kind: 'verified', call, model: await checked })
  } catch (error) {
    tell({ kind: 'refused', call, message: messageOf(error) })
  }
}

async function loop(): Promise<void> {
  const { doorbell } = data
  const consumers = () => [...rings.values()].map(({ consumer }) => consumer)
  const isEmpty = () => consumers().every(consumer => consumer.isEmpty())
  const isFilling = () => consumers().some(consumer => consumer.isFilling())
  let quietLooks = 0
  while (!stopping) {
    quietLooks = drain() > 0 ? 0 : quietLooks + 1
    // Rings may be full until it comes, and would let nobody sleep.
    if (!comparer.hasSnapshot) await new Promise(resolve => setTimeout(resolve, NAP_MS))
    else if (quietLooks < QUIET_LOOKS) await nap(doorbell, isFilling, NAP_MS)
    else await sleep(doorbell, isEmpty, SLEEP_MS)
  }
}

/**
 * Takes everything out of the rings, always: a slow candidate fills its own queue and never a ring.
 * @returns how many records somebody waits for: the others can wait for the next tick, and keep nobody awake
 */
function drain(): number {
  // After a restart the rings are full of records whose snapshot is on its way.
  if (!comparer.hasSnapshot) return 0
  let awaited = 0
  let settled = Number.POSITIVE_INFINITY
  for (const [thread, { consumer, ended }] of rings) {
    // Read first: all records of the epochs up to this one are then among those drained below.
    const epoch = consumer.settledEpoch()
    consumer.drain(packed => {
      const record = readRecord(packed)
      if (isAwaited(record)) awaited++
      comparer.take(record)
    })
    if (ended) rings.delete(thread)
    else settled = Math.min(settled, epoch)
  }
  if (settled !== Number.POSITIVE_INFINITY) settledEpoch = Math.max(settledEpoch, settled)
  // Whoever drained: what came for a candidate does not wait for the next tick.
  if (awaited > 0) comparer.pump()
  return awaited
}

function tick(): void {
  drain()
  comparer.pump()
  // Without a serving thread nothing comes any more, so all epochs up to now are complete.
  const last = rings.size > 0 ? settledEpoch : epochAt(monotonicMs(), data.originMs) - 1
  tell({ kind: 'tick', ...comparer.takeTick(last) })
}

async function stop(): Promise<void> {
  drain()
  comparer.pump()
  await comparer.close()
  for (const thread of rings.keys()) rings.delete(thread)
  tick()
  stopping = true
  await Promise.all([scoring.stop(), checkers.stop(), proofs.stop()])
  clearInterval(ticking)
  port.close()
}

function tell(message: FromShadow): void {
  port.postMessage(message)
}
