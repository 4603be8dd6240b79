// Sends requests when they are due, whether or not earlier ones were answered, and times each from its due moment.
import { monotonicMs } from '../record/clock.ts'
import { warmUp } from './closedLoop.ts'
import { Connections } from './connections.ts'
import { Pacer } from './pacer.ts'
import type { LoadResult, OpenLoopPlan } from './plan.ts'
import { Schedule, type ScheduleOptions } from './schedule.ts'
import { Tally } from './tally.ts'

/**
 * Runs an open loop. Latency counts from the moment a request was due and not from its sending: a server that stalls
 * delays the requests behind it, and timing only what was sent would leave exactly those out (coordinated omission).
 */
export async function runOpenLoop(plan: OpenLoopPlan): Promise<LoadResult> {
  const connections = new Connections(plan)
  const pacer = new Pacer(plan)
  try {
    const tally = new Tally('open', plan.timeoutMs)
    await pacer.ready()
    const warmedUp = await warmUp(connections, plan)
    const startMs = monotonicMs()
    pacer.start(startMs)
    await sendWhenDue(plan, pacer, startMs, dueMs => tally.sendFrom(connections, startMs + dueMs))
    await tally.settle()
    return tally.result(warmedUp, (monotonicMs() - startMs) / 1000)
  } finally {
    await pacer.close()
    await connections.close()
  }
}

/** Hands over each due moment, ms from the start, as soon as it has come. */
export async function sendWhenDue(
  options: ScheduleOptions,
  pacer: Pacer,
  startMs: number,
  send: (dueMs: number) => void,
): Promise<void> {
  const schedule = new Schedule(options)
  while (true) {
    pacer.look()
    const nowMs = monotonicMs() - startMs
    let dueMs = schedule.nextMs
    for (; dueMs !== undefined && dueMs <= nowMs; dueMs = schedule.nextMs) {
      schedule.advance()
      send(dueMs)
    }
    if (dueMs === undefined) return
    await pacer.wait()
  }
}
