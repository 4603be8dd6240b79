// How long `understudy serve` takes from its start until it is ready and each of a hundred models has answered.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { treeOf } from '../load/procfs.ts'
import { judgeTarget, pairedRatio, type Ratio, type Spread, spreadOf } from '../load/statistics.ts'
import type { GrowthBench } from './bench.ts'
import { type MadeModel, makeModels } from './manyModels.ts'

export const MODELS = 100
export const START_TARGET_SECONDS = 5

/** `cold`: no compiled code, no state. `warm`: both of an earlier start. */
export interface ModelStart {
  readonly start: 'cold' | 'warm'
  /** From the start of the process until /v2/health/ready says 200. */
  readonly readySeconds: Spread
  /** Until the first answer of each model has come. */
  readonly answeredSeconds: Spread
  /** The same as a median with its interval, which the target is held against. */
  readonly answered: Ratio
  readonly verdict: ReturnType<typeof judgeTarget> | undefined
  /** First answers that were not a 200. */
  readonly failures: number
}

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url))
const END_DEADLINE_MS = 30_000

export async function modelStarts(bench: GrowthBench, count: number, turns: number): Promise<ModelStart[]> {
  const home = bench.home()
  const models = makeModels(join(home, 'models'), count)
  const routes = models.map(
    ({ name }) => `  ${name}: { live: 1.0.0, versions: { 1.0.0: { onnx: ${name}/1.0.0, weight: 100 } } }\n`,
  )
  writeFileSync(
    join(home, 'routes.yaml'),
    `models: ./models\ndrain: { delay: 0s, deadline: 5s }\nroutes:\n${routes.join('')}`,
  )
  const times = { cold: [] as OneStart[], warm: [] as OneStart[] }
  for (let turn = 0; turn < turns; turn++) {
    // Cold first: it leaves behind what makes the next one warm.
    for (const start of ['cold', 'warm'] as const) {
      bench.tell(`${count} models: ${start} start ${turn + 1} of ${turns}`)
      if (start === 'cold') for (const folder of ['state', 'compiled']) rmSync(join(home, folder), REMOVE)
      times[start].push(await startOnce(home, models))
    }
  }
  return (['cold', 'warm'] as const).map(start => {
    const answeredSeconds = times[start].map(({ answered }) => answered)
    const answered = pairedRatio(
      answeredSeconds,
      answeredSeconds.map(() => 1),
    )
    return {
      start,
      readySeconds: spreadOf(times[start].map(({ ready }) => ready)),
      answeredSeconds: spreadOf(answeredSeconds),
      answered,
      verdict: bench.quick ? undefined : judgeTarget(answered, START_TARGET_SECONDS),
      failures: times[start].reduce((sum, { failures }) => sum + failures, 0),
    }
  })
}

const REMOVE = { recursive: true, force: true } as const

interface OneStart {
  readonly ready: number
  readonly answered: number
  readonly failures: number
}

async function startOnce(home: string, models: readonly MadeModel[]): Promise<OneStart> {
  const anywhere = '127.0.0.1:0'
  const args = ['--routes', join(home, 'routes.yaml'), '--state', join(home, 'state'), '--threads', '1', '--json']
  mkdirSync(join(home, 'compiled'), { recursive: true })
  const startedAt = performance.now()
  const since = () => (performance.now() - startedAt) / 1_000
  const child = spawn(process.execPath, [MAIN, 'serve', ...args, '--listen', anywhere, '--admin', anywhere], {
    stdio: ['ignore', 'pipe', 'ignore'],
    env: { ...process.env, NODE_COMPILE_CACHE: join(home, 'compiled') },
  })
  try {
    const [line] = (await Promise.race([
      once(createInterface({ input: child.stdout! }), 'line'),
      once(child, 'exit').then(([code]) => Promise.reject(new Error(`serve ended with code ${code}`))),
    ])) as [string]
    const { predictions } = JSON.parse(line) as { predictions: string }
    const health = await fetch(`${predictions}/v2/health/ready`)
    if (health.status !== 200) throw new Error(`serve says that it is ready, and /v2/health/ready ${health.status}`)
    const ready = since()
    const statuses = await Promise.all(
      models.map(async ({ name, body }) => {
        const answer = await fetch(`${predictions}/v2/models/${name}/infer`, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body,
        })
        await answer.arrayBuffer()
        return answer.status
      }),
    )
    return { ready, answered: since(), failures: statuses.filter(status => status !== 200).length }
  } finally {
    await end(child)
  }
}

/** SIGTERM drains; what is still there after a while is killed by its id, with the processes that it started. */
async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, 'exit')
  const timer = setTimeout(() => {
    for (const pid of treeOf(child.pid!)) process.kill(pid, 'SIGKILL')
  }, END_DEADLINE_MS)
  child.kill('SIGTERM')
  await exited
  clearTimeout(timer)
}
