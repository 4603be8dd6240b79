// Spreads the runs of scenarios over worker threads. Parts come back in any order and are kept in order of their runs, and
// every run has its own seed, so the figures do not depend on how many threads there were.
import { Worker } from 'node:worker_threads'

export interface Task {
  readonly scenario: string
  readonly cell: number
  readonly from: number
  readonly to: number
}

export interface TaskResult {
  readonly part?: unknown
  /** What went wrong, when nothing came of it. */
  readonly failure?: string
  readonly seconds: number
}

/** Runs every task on `threads` workers; `done` hears of each as it comes. @throws when a worker dies */
export async function runTasks(
  tasks: readonly Task[],
  threads: number,
  done: (task: Task, result: TaskResult) => void,
): Promise<TaskResult[]> {
  const results = new Array<TaskResult>(tasks.length)
  let next = 0
  const work = async () => {
    const worker = new Worker(new URL('./worker.ts', import.meta.url))
    try {
      while (next < tasks.length) {
        const index = next++
        const task = tasks[index]!
        const result = await asked(worker, task)
        results[index] = result
        done(task, result)
      }
    } finally {
      worker.postMessage(null)
    }
  }
  await Promise.all(Array.from({ length: Math.min(threads, tasks.length) }, work))
  return results
}

function asked(worker: Worker, task: Task): Promise<TaskResult> {
  return new Promise((resolve, reject) => {
    const settle = (act: () => void) => {
      worker.off('message', onMessage)
      worker.off('error', onError)
      act()
    }
    const onMessage = (result: TaskResult) => settle(() => resolve(result))
    const onError = (error: unknown) => settle(() => reject(error))
    worker.on('message', onMessage)
    worker.on('error', onError)
    worker.postMessage(task)
  })
}
