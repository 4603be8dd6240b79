// Starts MLServer and MLflow's model server as their users do, and ends them; knows nothing of the gateway.
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdir, writeFile } from 'node:fs/promises'
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'
import { atEnd, scratch, send, until } from '../e2e/gateway.ts'
import type { Peers } from './place.ts'

export interface RunningServer {
  /** http://127.0.0.1:port */
  readonly url: string
  /** Everything it wrote so far. */
  log(): string
  /** Ends it with all that it started. */
  stop(): Promise<void>
}

interface DeclaredTensor {
  readonly name: string
  readonly datatype: string
  readonly shape: readonly number[]
  readonly parameters?: object
}

export interface PickledModel {
  readonly name: string
  readonly version: string
  /** MLServer's codec; a matrix by default. */
  readonly contentType?: 'np' | 'pd'
  /** What its metadata tells; nothing by default. */
  readonly inputs?: readonly DeclaredTensor[]
  readonly outputs?: readonly DeclaredTensor[]
}

// Two cores are shared with a gateway and a client: idle threads of a matrix library would spin on them.
const QUIET = { OMP_NUM_THREADS: '1', OPENBLAS_NUM_THREADS: '1', MLFLOW_DISABLE_TELEMETRY: 'true' }
// Imports alone take ten seconds on a busy machine of two cores.
const START_MS = 90_000

/** `mlserver start`: every model from its pickle, HTTP only, in one process. */
export async function startMlserver(peers: Peers, models: readonly PickledModel[]): Promise<RunningServer> {
  const folder = await scratch()
  const [http_port, grpc_port, metrics_port] = await freePorts(3)
  const settings = { host: '127.0.0.1', http_port, grpc_port, metrics_port, parallel_workers: 0, debug: false }
  await writeFile(join(folder, 'settings.json'), JSON.stringify(settings))
  for (const { name, version, contentType, inputs = [], outputs = [] } of models) {
    await mkdir(join(folder, name))
    const content = {
      name,
      implementation: 'mlserver_sklearn.SKLearnModel',
      inputs,
      outputs,
      parameters: { uri: peers.pickle(name, version), version, content_type: contentType },
    }
    await writeFile(join(folder, name, 'model-settings.json'), JSON.stringify(content))
  }
  const url = `http://127.0.0.1:${http_port}`
  return started(peers, url, ['mlserver', 'start', folder], `${url}/v2/health/ready`)
}

/** `mlflow models serve`: one model, at `/invocations`. */
export async function startMlflow(peers: Peers, name: string, version: string): Promise<RunningServer> {
  const [port] = await freePorts(1)
  const url = `http://127.0.0.1:${port}`
  const model = peers.mlflowModel(name, version)
  const where = ['--host', '127.0.0.1', '--port', String(port), '--workers', '1']
  return started(
    peers,
    url,
    ['mlflow', 'models', 'serve', '-m', model, '--env-manager', 'local', ...where],
    `${url}/ping`,
  )
}

async function started(
  peers: Peers,
  url: string,
  [command, ...args]: readonly [string, ...string[]],
  ready: string,
): Promise<RunningServer> {
  const child = spawn(join(peers.bin, command), args, {
    // MLflow looks for uvicorn on the path. A group of its own, for it starts another process.
    env: { ...process.env, PATH: `${peers.bin}:${process.env.PATH}`, ...QUIET },
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let log = ''
  child.stdout.on('data', (chunk: Buffer) => (log += chunk))
  child.stderr.on('data', (chunk: Buffer) => (log += chunk))
  const exited = new Promise<void>(resolve => child.once('close', () => resolve()))
  const stop = () => {
    endGroup(child)
    return exited
  }
  atEnd(stop)
  process.once('exit', () => endGroup(child))
  await until(
    async () => {
      if (child.exitCode !== null || child.signalCode !== null) throw new Error(`${command} ended: ${log}`)
      return send(ready, { timeoutMs: 2_000 }).then(
        ({ status }) => status === 200,
        () => false,
      )
    },
    { timeoutMs: START_MS, what: () => `${command} to be ready; it said: ${log}` },
  )
  return { url, log: () => log, stop }
}

function endGroup(child: ChildProcess): void {
  if (child.pid === undefined) return
  try {
    process.kill(-child.pid, 'SIGKILL')
  } catch {
    // The group is gone.
  }
}

/** Ports that nobody has now; neither server tells which port it got when asked for any. */
async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, () => {
      const server = createServer()
      return new Promise<typeof server>(resolve => server.listen(0, '127.0.0.1', () => resolve(server)))
    }),
  )
  const ports = servers.map(server => (server.address() as AddressInfo).port)
  await Promise.all(servers.map(server => new Promise(resolve => server.close(resolve))))
  return ports
}
