// Entry of the pacer's thread: sleeps until each request is due and rings.
import { parentPort, workerData } from 'node:worker_threads'
import { monotonicMs } from '../record/clock.ts'
import { type PacerData, STOP, WAKES } from './pacer.ts'
import { Schedule } from './schedule.ts'

const { words, schedule: options } = workerData as PacerData
/** Requests nearer together than this share one wake. */
const GRAIN_MS = 0.1
// Only an ended run must free a thread that was never started.
const UNSTARTED_MS = 100

const unstarted = setInterval(() => {
  if (Atomics.load(words, STOP) === 1) end()
}, UNSTARTED_MS)
parentPort!.once('message', (startMs: number) => {
  pace(startMs)
  end()
})
parentPort!.postMessage('ready')

function pace(startMs: number): void {
  const schedule = new Schedule(options)
  let wokenMs = Number.NEGATIVE_INFINITY
  for (let dueMs = schedule.nextMs; dueMs !== undefined; dueMs = schedule.nextMs) {
    schedule.advance()
    const wakeMs = startMs + dueMs
    if (wakeMs - wokenMs < GRAIN_MS) continue
    const sleepMs = wakeMs - monotonicMs()
    if (sleepMs > 0) Atomics.wait(words, STOP, 0, sleepMs)
    if (Atomics.load(words, STOP) === 1) return
    wokenMs = monotonicMs()
    Atomics.add(words, WAKES, 1)
    Atomics.notify(words, WAKES)
  }
}

function end(): void {
  clearInterval(unstarted)
  parentPort!.close()
}
