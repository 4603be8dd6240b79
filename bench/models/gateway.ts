// One gateway as a child process in a folder of its own, with one route of the shipped routes.yaml. Always ended.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { parse } from 'yaml'
import type { HistoryEntry } from '../../src/admin/control.ts'
import type { RouteStatus, Status } from '../../src/report/status.ts'

export interface Gateway {
  readonly predictions: string
  readonly steps: readonly string[]
  route(): Promise<RouteStatus>
  /** Newest first. */
  history(): Promise<readonly HistoryEntry[]>
  stop(): Promise<void>
}

const root = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url))

/** @throws when it does not start */
export async function openGateway(name: string): Promise<Gateway> {
  const shipped = parse(await readFile(root('routes.yaml'), 'utf8')) as {
    routes: Record<string, Record<string, object>>
  }
  const route = shipped.routes[name]!
  const steps = [5, 25, 50, 100]
  const routes = {
    models: root('models'),
    drain: { delay: '0s', deadline: '5s' },
    routes: {
      [name]: {
        ...route,
        gate: { ...route.gate, exposure: { for: '0s' } },
        rollout: { steps, mode: 'auto', every: '1s' },
      },
    },
  }
  const folder = await mkdtemp(join(tmpdir(), 'understudy-bench-'))
  const file = join(folder, 'routes.yaml')
  await writeFile(file, JSON.stringify(routes, undefined, 2))
  const free = '127.0.0.1:0'
  const options = ['--routes', file, '--state', join(folder, 'state'), '--listen', free, '--admin', free]
  const child = spawn(process.execPath, [root('src/main.ts'), 'serve', ...options, '--threads', '1', '--json'], {
    stdio: ['ignore', 'pipe', process.env.BENCH_LOG === undefined ? 'ignore' : 'inherit'],
  })
  const stop = async () => {
    if (child.exitCode === null && child.signalCode === null) {
      const exited = once(child, 'exit')
      child.kill('SIGTERM')
      const timer = setTimeout(() => child.kill('SIGKILL'), 15_000)
      await exited.finally(() => clearTimeout(timer))
    }
    await rm(folder, { recursive: true, force: true })
  }
  try {
    const lines = createInterface({ input: child.stdout! })
    const [line] = await once(lines, 'line', { signal: AbortSignal.timeout(45_000) })
    child.stdout!.resume()
    const { predictions, admin } = JSON.parse(String(line)) as { predictions: string; admin: string }
    const get = async (path: string) => (await fetch(`${admin}${path}`)).json()
    return {
      predictions,
      steps: steps.map(String),
      route: async () => ((await get('/v1/status')) as Status).routes[0]!,
      history: async () => ((await get(`/v1/history?route=${name}`)) as { entries: HistoryEntry[] }).entries,
      stop,
    }
  } catch (error) {
    await stop()
    throw error
  }
}
