// Keeps every connection busy: its next request goes out when its last one is answered. Finds what a server can do.
import { monotonicMs } from '../record/clock.ts'
import { Connections } from './connections.ts'
import type { ClosedLoopPlan, LoadResult } from './plan.ts'
import { Tally } from './tally.ts'

/** Runs a closed loop: exactly `requests` requests, or fewer where `seconds` pass first. */
export async function runClosedLoop(plan: ClosedLoopPlan): Promise<LoadResult> {
  const connections = new Connections(plan)
  try {
    const warmedUp = await warmUp(connections, plan)
    const tally = new Tally('closed', plan.timeoutMs)
    const startMs = monotonicMs()
    const endMs = startMs + plan.seconds * 1000
    const next = () => {
      const sentMs = monotonicMs()
      if (tally.sent >= plan.requests || sentMs >= endMs) return
      tally.sending(0)
      connections.send((status, error) => {
        // First the next one, so that the count of requests under way does not touch zero before the end.
        const latencyMs = monotonicMs() - sentMs
        next()
        tally.ended(status, error, latencyMs)
      })
    }
    for (let connection = 0; connection < plan.connections; connection++) next()
    // A hung server ends no request, so the run itself must end.
    let timer: NodeJS.Timeout | undefined
    await Promise.race([
      tally.idle(),
      new Promise<void>(resolve => {
        timer = setTimeout(resolve, plan.seconds * 1000)
      }),
    ])
    clearTimeout(timer)
    await tally.settle()
    return tally.result(warmedUp, (monotonicMs() - startMs) / 1000)
  } finally {
    await connections.close()
  }
}

/**
 * Sends the plan's warm-up, as many at once as there are connections, which are all open afterwards.
 * @returns how many were answered
 */
export async function warmUp(
  connections: Connections,
  plan: Pick<ClosedLoopPlan, 'warmUp' | 'connections' | 'timeoutMs'>,
): Promise<number> {
  let started = 0
  let answered = 0
  let failed = false
  const lane = async () => {
    while (started < plan.warmUp && !failed) {
      started++
      const error = await answerWithin(connections, plan.timeoutMs)
      // A server that fails now is the business of the run itself, which counts it.
      if (error === undefined) answered++
      else failed = true
    }
  }
  await Promise.all(Array.from({ length: plan.connections }, lane))
  return answered
}

function answerWithin(connections: Connections, timeoutMs: number): Promise<string | undefined> {
  return new Promise(resolve => {
    const timer = setTimeout(() => resolve('timeout'), timeoutMs)
    connections.send((_status, error) => {
      clearTimeout(timer)
      resolve(error)
    })
  })
}
