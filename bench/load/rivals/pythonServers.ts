// Starts MLServer and LitServe over an ONNX file, where they are installed, in the configurations that their manuals offer
// for speed on one processor: which of them is best is measured. Ends them by their process group.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { pinned } from '../pinning.ts'
import type { Running } from '../processes.ts'
import { freePort, RIVALS_FOLDER } from './rivals.ts'

export const PYTHON_SERVERS = ['MLServer', 'LitServe'] as const
export type PythonServer = (typeof PYTHON_SERVERS)[number]

/** What each package is installed as, in an environment of its own: they need different versions of FastAPI. */
export const REQUIREMENTS: Readonly<Record<PythonServer, readonly string[]>> = {
  // uvicorn takes the quicker httptools where it is there, which MLServer does not ask for; and MLServer's worker process
  // ends at once with uvloop 0.23.
  MLServer: ['mlserver==1.7.1', 'onnxruntime==1.30.0', 'httptools==0.9.0', 'uvloop==0.21.0'],
  LitServe: ['litserve==0.2.19', 'onnxruntime==1.30.0'],
}

interface LitServeConfiguration {
  readonly workers: number
  readonly batch: number
  readonly waitMs: number
  readonly fastQueue: boolean
}

interface MlserverConfiguration {
  readonly server: object
  readonly model: object
}

// What the gateway has not is switched off, where the manual tells how: metrics, access log, compression.
const QUIET = { debug: false, metrics_endpoint: null, gzip_enabled: false }
// Both manuals say that batching must be tried: as many as there can be at once, and a short wait.
const BATCHES = { max_batch_size: 16, max_batch_time: 0.001 }
const MLSERVER: Readonly<Record<string, MlserverConfiguration>> = {
  'as it comes': { server: {}, model: {} },
  'quiet, one worker': { server: { ...QUIET, parallel_workers: 1 }, model: {} },
  'quiet, one worker, batches of 16': { server: { ...QUIET, parallel_workers: 1 }, model: BATCHES },
  'quiet, in process': { server: { ...QUIET, parallel_workers: 0 }, model: {} },
  'quiet, in process, batches of 16': { server: { ...QUIET, parallel_workers: 0 }, model: BATCHES },
}
const LITSERVE: Readonly<Record<string, LitServeConfiguration>> = {
  'as it comes: one worker': { workers: 1, batch: 1, waitMs: 0, fastQueue: false },
  'fast queue': { workers: 1, batch: 1, waitMs: 0, fastQueue: true },
  'batches of 16': { workers: 1, batch: 16, waitMs: 1, fastQueue: false },
  'fast queue, batches of 16': { workers: 1, batch: 16, waitMs: 1, fastQueue: true },
  'fast queue, two workers': { workers: 2, batch: 1, waitMs: 0, fastQueue: true },
}

export function configurationsOf(server: PythonServer): readonly string[] {
  return Object.keys(server === 'MLServer' ? MLSERVER : LITSERVE)
}

export function environmentOf(server: PythonServer): string {
  return join(RIVALS_FOLDER, server.toLowerCase())
}

/** Its version and the runtime's; undefined: it is not installed, and is then listed as not measured. */
export function versionOf(server: PythonServer): string | undefined {
  const python = join(environmentOf(server), 'bin/python')
  if (!existsSync(python)) return undefined
  const code = `from importlib.metadata import version; print("%s with onnxruntime %s" % (version("${server.toLowerCase()}"), version("onnxruntime")))`
  try {
    return execFileSync(python, ['-c', code], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim()
  } catch {
    return undefined
  }
}

// Imports alone take ten seconds on a busy machine.
const READY_MS = 60_000
const LOOK_MS = 200
const END_MS = 10_000
const ONE_THREAD = { OMP_NUM_THREADS: '1', OPENBLAS_NUM_THREADS: '1' }

/** Starts one on `processor` alone, ready when it answers `probe` at `path`. @throws when it does not in time */
export async function startPythonServer(
  server: PythonServer,
  configuration: string,
  model: string,
  folder: string,
  path: string,
  probe: string,
  processor: number,
): Promise<Running> {
  mkdirSync(folder, { recursive: true })
  const ports = [await freePort(), await freePort(), await freePort()]
  const port = ports[0]!
  const bin = join(environmentOf(server), 'bin')
  const command =
    server === 'MLServer'
      ? [join(bin, 'mlserver'), 'start', mlserverFolder(folder, MLSERVER[configuration]!, model, ports)]
      : [join(bin, 'python'), '-W', 'ignore', SCRIPT, model, String(port), JSON.stringify(LITSERVE[configuration])]
  const [program, ...args] = pinned(processor, command)
  const env = { ...process.env, ...ONE_THREAD, PYTHONPATH: RUNTIMES }
  const child = spawn(program!, args, { cwd: folder, env, detached: true, stdio: ['ignore', 'ignore', 'inherit'] })
  const onExit = () => endGroup(child, 'SIGKILL')
  process.once('exit', onExit)
  const close = async () => {
    await end(child)
    process.off('exit', onExit)
  }
  try {
    await answers(`http://127.0.0.1:${port}${path}`, probe, child)
    return { pid: child.pid!, ready: { port }, close }
  } catch (error) {
    await close()
    throw error
  }
}

const SCRIPT = fileURLToPath(new URL('./litserver.py', import.meta.url))
// Nobody reads what it would write.
const ERRORS_ONLY = { version: 1, root: { level: 'ERROR' } }
const RUNTIMES = fileURLToPath(new URL('./mlserver', import.meta.url))

function mlserverFolder(
  folder: string,
  configuration: MlserverConfiguration,
  uri: string,
  [http_port, grpc_port, metrics_port]: readonly number[],
): string {
  const settings = {
    host: '127.0.0.1',
    http_port,
    grpc_port,
    metrics_port,
    logging_settings: ERRORS_ONLY,
    ...configuration.server,
  }
  const served = {
    name: 'flight-delay',
    implementation: 'runtime.OnnxModel',
    parameters: { uri, version: '1.0.0' },
    ...configuration.model,
  }
  writeFileSync(join(folder, 'settings.json'), JSON.stringify(settings))
  writeFileSync(join(folder, 'model-settings.json'), JSON.stringify(served))
  return folder
}

async function answers(url: string, body: string, child: ChildProcess): Promise<void> {
  const until = performance.now() + READY_MS
  while (performance.now() < until) {
    if (child.exitCode !== null || child.signalCode !== null) throw new Error(`${url}: the server ended`)
    const isReady = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body,
      signal: AbortSignal.timeout(2_000),
    }).then(
      async answer => {
        await answer.arrayBuffer()
        return answer.ok
      },
      () => false,
    )
    if (isReady) return
    await new Promise(resolve => setTimeout(resolve, LOOK_MS))
  }
  throw new Error(`${url}: the server was not ready in time`)
}

/** An interrupt lets both end their workers; what is left of the group after that is killed. */
async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) {
    const exited = new Promise<void>(resolve => child.once('exit', () => resolve()))
    const timer = setTimeout(() => endGroup(child, 'SIGKILL'), END_MS)
    child.kill('SIGINT')
    await exited
    clearTimeout(timer)
  }
  endGroup(child, 'SIGKILL')
}

function endGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid === undefined) return
  try {
    process.kill(-child.pid, signal)
  } catch {
    // The group is gone.
  }
}
