// Owns what the demo starts: a temporary folder, a gateway as a child process, and the way to ask it. Always ends them.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import { mkdtemp, readFile, rename, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as wait } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { RouteStatus, Status } from '../../report/status.ts'
import { type AdminClient, createAdminClient } from '../client.ts'
import { newIdempotencyKey } from '../context.ts'
import { ROUTE, routesText } from './policy.ts'

const MAIN = fileURLToPath(new URL('../../main.ts', import.meta.url))
const MODELS = fileURLToPath(new URL('../../../models', import.meta.url))
const READY_MS = 45_000
const STOP_MS = 15_000
const ASK_MS = 15_000
const POLL_MS = 150

/** Something did not go as told. */
export class NotAsTold extends Error {}

export interface World {
  readonly folder: string
  readonly routesFile: string
  readonly pid: number
  /** Addresses of predictions and of the admin API. */
  readonly predictions: string
  readonly admin: string
  readonly client: AdminClient
  route(): Promise<RouteStatus>
  post(action: string, body: object): Promise<unknown>
  /** Saves routes.yaml as an editor does, and waits until the gateway has read it. */
  edit(change: (text: string) => string): Promise<{ before: string; after: string }>
  /** Asks again and again until `found` gives something. @throws NotAsTold after `withinMs`, the signal's reason */
  until<T>(expected: string, withinMs: number, found: () => Promise<T | undefined>): Promise<T>
  stop(): Promise<void>
}

/** Starts the gateway on free ports. @throws when it does not get ready */
export async function startWorld(signal: AbortSignal): Promise<World> {
  const folder = await mkdtemp(join(tmpdir(), 'understudy-demo-'))
  const routesFile = join(folder, 'routes.yaml')
  await writeFile(routesFile, routesText(MODELS))
  const log = openSync(join(folder, 'gateway.log'), 'a')
  const free = '127.0.0.1:0'
  const files = ['--routes', routesFile, '--state', join(folder, 'state')]
  const child = spawn(
    process.execPath,
    [MAIN, 'serve', ...files, '--listen', free, '--admin', free, '--threads', '1', '--json'],
    // In a group of its own: Ctrl-C reaches the demo alone, which then ends the gateway in order.
    { stdio: ['ignore', 'pipe', log], detached: true },
  )
  closeSync(log)
  // The last resort, for an exception that nobody caught.
  const kill = () => void child.kill('SIGKILL')
  process.once('exit', kill)
  const stopChild = async () => {
    await stopProcess(child)
    process.off('exit', kill)
  }
  try {
    const { predictions, admin } = await ready(child, folder, signal)
    const client = createAdminClient({ url: admin, token: undefined, timeoutMs: ASK_MS })
    return worldOf({ folder, routesFile, child, predictions, admin, client, signal, stopChild })
  } catch (error) {
    await stopChild()
    throw error
  }
}

interface Parts extends Pick<World, 'folder' | 'routesFile' | 'predictions' | 'admin' | 'client'> {
  readonly child: ChildProcess
  readonly signal: AbortSignal
  readonly stopChild: () => Promise<void>
}

function worldOf({ child, signal, stopChild, ...parts }: Parts): World {
  const { client, routesFile } = parts
  const status = async () => (await client.get('/v1/status')) as Status
  const until: World['until'] = async (expected, withinMs, found) => {
    const end = performance.now() + withinMs
    for (;;) {
      signal.throwIfAborted()
      if (child.exitCode !== null || child.signalCode !== null)
        throw new NotAsTold(`the gateway ended by itself; ${join(parts.folder, 'gateway.log')} may say why`)
      const result = await found()
      if (result !== undefined) return result
      if (performance.now() > end) throw new NotAsTold(`expected within ${withinMs / 1000} s: ${expected}`)
      await wait(POLL_MS)
    }
  }
  return {
    ...parts,
    pid: child.pid!,
    until,
    async route() {
      const route = (await status()).routes.find(({ name }) => name === ROUTE)
      if (route === undefined) throw new NotAsTold(`the gateway has no route ${ROUTE}`)
      return route
    },
    post: (action, body) => client.post(`/v1/routes/${ROUTE}/${action}`, body, newIdempotencyKey()),
    async edit(change) {
      const before = await readFile(routesFile, 'utf8')
      const after = change(before)
      const { revision } = await status()
      await writeFile(`${routesFile}.new`, after)
      await rename(`${routesFile}.new`, routesFile)
      await until('the edit of routes.yaml to be read', 15_000, async () => {
        const { revision: now, configuration } = await status()
        if (configuration.error !== undefined) throw new NotAsTold(`routes.yaml is refused: ${configuration.error}`)
        return now > revision ? now : undefined
      })
      return { before, after }
    },
    async stop() {
      await client.close().catch(() => {})
      await stopChild()
    },
  }
}

async function ready(child: ChildProcess, folder: string, signal: AbortSignal) {
  const limit = AbortSignal.any([signal, AbortSignal.timeout(READY_MS)])
  const lines = createInterface({ input: child.stdout! })
  try {
    const said = once(lines, 'line', { signal: limit }).then(([first]) => String(first))
    const ended = once(child, 'exit', { signal: limit }).then(() => undefined)
    // Whichever comes second is nobody's business, its rejection at the time limit neither.
    for (const promise of [said, ended]) promise.catch(() => {})
    const line = await Promise.race([said, ended])
    if (line === undefined) {
      const log = await readFile(join(folder, 'gateway.log'), 'utf8').catch(() => '')
      throw new NotAsTold(`the gateway did not start\n${log.trim().split('\n').slice(-5).join('\n')}`)
    }
    return JSON.parse(line) as { predictions: string; admin: string }
  } finally {
    lines.close()
    // Whatever it prints later must not fill the pipe.
    child.stdout!.resume()
  }
}

/** SIGTERM, and SIGKILL after a while, by id. */
async function stopProcess(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return
  const exited = once(child, 'exit')
  child.kill('SIGTERM')
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MS)
  await exited.finally(() => clearTimeout(timer))
}
