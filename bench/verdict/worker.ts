// Measures parts of scenarios for `pool.ts`, one at a time, until told that there are no more.
import { parentPort } from 'node:worker_threads'
import type { Task, TaskResult } from './pool.ts'
import { StructuralError } from './scenario.ts'
import { SCENARIOS } from './scenarios/index.ts'

parentPort?.on('message', (task: Task | null) => {
  if (task === null) {
    parentPort?.close()
    return
  }
  const started = performance.now()
  const result = measured(task)
  parentPort?.postMessage({ ...result, seconds: (performance.now() - started) / 1000 } satisfies TaskResult)
})

function measured({ scenario, cell, from, to }: Task): Omit<TaskResult, 'seconds'> {
  try {
    const found = SCENARIOS.find(({ name }) => name === scenario)
    if (found === undefined) throw new RangeError(`no scenario ${scenario}`)
    return { part: found.measure(cell, from, to) }
  } catch (error) {
    // The benchmark itself is wrong, or the gate and it disagree: said with its place, and the other rows go on.
    const isStructural = error instanceof StructuralError
    return { failure: isStructural ? error.message : String((error as Error).stack ?? error) }
  }
}
