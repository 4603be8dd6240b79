// Starts real gateways as child processes, and speaks to them; every process and folder is gone when the file ends.
import { type ChildProcess, spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { Agent, request as httpRequest, type IncomingHttpHeaders } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll } from 'vitest'
import { parse } from 'yaml'
import { Manifest } from '../../src/models/manifest.ts'
import type { Status } from '../../src/report/status.ts'

export const ROOT = fileURLToPath(new URL('../..', import.meta.url))
export const MODELS = join(ROOT, 'models')

const children = new Set<ChildProcess>()
const folders = new Set<string>()
const closers = new Set<() => void | Promise<void>>()

/** Runs when the test file ends, also after a failure. */
export function atEnd(close: () => void | Promise<void>): void {
  closers.add(close)
}

afterAll(async () => {
  for (const child of children) if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL')
  for (const close of closers) await close()
  for (const folder of folders) await rm(folder, { recursive: true, force: true })
})
// A test run that is broken off does not come to afterAll.
process.once('exit', () => {
  for (const child of children) if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL')
})

/** A folder of its own for one test. */
export async function scratch(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'understudy-test-'))
  folders.add(folder)
  return folder
}

/** A routes file's content as an object; JSON is YAML. Quick to drain, and unwatched by anybody else. */
export function routesOf(routes: Record<string, unknown>, rest: Record<string, unknown> = {}): string {
  return JSON.stringify({ models: MODELS, drain: { delay: '0ms', deadline: '5s' }, ...rest, routes }, undefined, 2)
}

export interface Exit {
  readonly code: number | null
  readonly signal: string | null
}

export interface TestGateway {
  /** http://127.0.0.1:port */
  readonly predictions: string
  readonly admin: string
  readonly port: number
  readonly pid: number
  readonly folder: string
  readonly routesFile: string
  readonly stateDir: string
  /** Everything it wrote to stderr so far. */
  log(): string
  /** Everything it wrote to stdout so far. */
  out(): string
  /** SIGTERM, and how it ended. */
  stop(): Promise<Exit>
  /** SIGKILL, and how it ended. */
  kill(): Promise<Exit>
  readonly exited: Promise<Exit>
  status(): Promise<Status>
}

export interface StartOptions {
  /** Content of routes.yaml, as text; see `routesOf`. */
  readonly routes: string
  readonly threads?: number
  /** Folder of an earlier gateway: its routes file, unless `routes` is another one, and its state. */
  readonly folder?: string
  readonly args?: readonly string[]
  /** Flags of node. */
  readonly nodeFlags?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
}

const START_MS = 50_000

/** Starts a gateway and waits until it says that it is ready. @throws with its stderr when it ends before that */
export async function startGateway(options: StartOptions): Promise<TestGateway> {
  const folder = options.folder ?? (await scratch())
  const routesFile = join(folder, 'routes.yaml')
  const stateDir = join(folder, 'state')
  await mkdir(folder, { recursive: true })
  await writeFile(routesFile, options.routes)
  const { child, exited, log, out } = spawnUnderstudy(
    [
      'serve',
      ...['--routes', routesFile, '--state', stateDir, '--listen', '127.0.0.1:0', '--admin', '127.0.0.1:0'],
      ...['--threads', String(options.threads ?? 1)],
      ...(options.args ?? []),
    ],
    options.env,
    options.nodeFlags,
  )
  const ready = await until(
    async () => {
      if (child.exitCode !== null || child.signalCode !== null) {
        throw new Error(`the gateway ended with ${child.exitCode ?? child.signalCode}: ${log()}`)
      }
      return /understudy is ready: predictions on (http:\S+), admin API on (http:\S+)/.exec(out())
    },
    { timeoutMs: START_MS, what: () => `the gateway to be ready; it said: ${log()}` },
  )
  const [, predictions, admin] = ready as unknown as [string, string, string]
  return {
    predictions,
    admin,
    port: Number(new URL(predictions).port),
    pid: child.pid!,
    folder,
    routesFile,
    stateDir,
    log,
    out,
    exited,
    stop: () => {
      child.kill('SIGTERM')
      return exited
    },
    kill: () => {
      child.kill('SIGKILL')
      return exited
    },
    status: async () => (await getJson(`${admin}/v1/status`)) as Status,
  }
}

/** Runs the command line until it ends. */
export async function understudy(
  args: readonly string[],
  env?: Readonly<Record<string, string>>,
): Promise<{ code: number | null; out: string; err: string }> {
  const { exited, log, out } = spawnUnderstudy(args, env)
  const { code } = await exited
  return { code, out: out(), err: log() }
}

function spawnUnderstudy(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
  nodeFlags: readonly string[] = [],
) {
  const child = spawn(process.execPath, [...nodeFlags, join(ROOT, 'src/main.ts'), ...args], {
    cwd: ROOT,
    env: { ...process.env, NO_COLOR: '1', OTEL_TRACES_EXPORTER: 'none', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  children.add(child)
  let out = ''
  let err = ''
  child.stdout.on('data', (chunk: Buffer) => (out += chunk))
  child.stderr.on('data', (chunk: Buffer) => (err += chunk))
  const exited = new Promise<Exit>(resolve => child.once('close', (code, signal) => resolve({ code, signal })))
  return { child, exited, log: () => err, out: () => out }
}

/** Polls until `condition` gives something other than undefined, null or false. @throws after `timeoutMs` */
export async function until<T>(
  condition: () => T | Promise<T>,
  { timeoutMs = 20_000, what = () => 'a condition' }: { timeoutMs?: number; what?: () => string } = {},
): Promise<NonNullable<T>> {
  const end = performance.now() + timeoutMs
  for (;;) {
    const value = await condition()
    if (value !== undefined && value !== null && value !== false) return value as NonNullable<T>
    if (performance.now() > end) throw new Error(`waited ${timeoutMs} ms for ${what()}`)
    await new Promise(resolve => setTimeout(resolve, 20))
  }
}

const agent = new Agent({ keepAlive: true, maxSockets: 64 })
atEnd(() => agent.destroy())

export interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly bytes: Buffer
  readonly text: string
  /** Parsed body; undefined when it is not JSON. */
  // biome-ignore lint/suspicious/noExplicitAny: an answer is looked into by tests
  readonly json: any
}

export interface Sending {
  readonly method?: string
  readonly headers?: Readonly<Record<string, string | readonly string[]>>
  readonly body?: string | Uint8Array
  /** Several pieces: sent chunked. */
  readonly chunks?: readonly (string | Uint8Array)[]
  readonly timeoutMs?: number
}

/** One HTTP exchange. Rejects when the connection breaks. */
export function send(url: string, sending: Sending = {}): Promise<Answer> {
  const { method = sending.body === undefined && sending.chunks === undefined ? 'GET' : 'POST', headers = {} } = sending
  return new Promise((resolve, reject) => {
    const request = httpRequest(url, {
      agent,
      method,
      headers: {
        ...(sending.body !== undefined && { 'content-type': 'application/json' }),
        ...(headers as Record<string, string>),
      },
      signal: AbortSignal.timeout(sending.timeoutMs ?? 15_000),
    })
    request.on('error', error => {
      // A kept connection that the server closed while we picked it: nothing was read of this request.
      if (request.reusedSocket && (error as { code?: string }).code === 'ECONNRESET')
        send(url, sending).then(resolve, reject)
      else reject(error)
    })
    request.on('response', response => {
      const parts: Buffer[] = []
      response.on('data', (part: Buffer) => parts.push(part))
      response.on('error', reject)
      response.on('end', () => {
        const bytes = Buffer.concat(parts)
        const text = bytes.toString()
        let json: unknown
        try {
          json = JSON.parse(text)
        } catch {}
        resolve({ status: response.statusCode ?? 0, headers: response.headers, bytes, text, json })
      })
    })
    if (sending.chunks === undefined) request.end(sending.body)
    else {
      for (const chunk of sending.chunks) request.write(chunk)
      request.end()
    }
  })
}

export async function getJson(url: string): Promise<unknown> {
  const answer = await send(url)
  if (answer.status !== 200) throw new Error(`${url} answered ${answer.status}: ${answer.text}`)
  return answer.json
}

export function postJson(url: string, body: unknown): Promise<Answer> {
  return send(url, { body: JSON.stringify(body) })
}

/** `POST /v2/models/{model}[/versions/{version}]/infer`. */
export function predict(
  gateway: { readonly predictions: string },
  model: string,
  body: object | string | Uint8Array,
  options: Omit<Sending, 'body'> & { readonly version?: string } = {},
): Promise<Answer> {
  const version = options.version === undefined ? '' : `/versions/${options.version}`
  return send(`${gateway.predictions}/v2/models/${model}${version}/infer`, {
    ...options,
    method: 'POST',
    body: typeof body === 'string' || body instanceof Uint8Array ? body : JSON.stringify(body),
  })
}

/** Runs `count` tasks, at most `width` at a time. */
export async function inParallel<T>(count: number, width: number, task: (index: number) => Promise<T>): Promise<T[]> {
  const results: T[] = new Array(count)
  let next = 0
  const workers = Array.from({ length: Math.min(width, count) }, async () => {
    while (next < count) {
      const index = next++
      results[index] = await task(index)
    }
  })
  await Promise.all(workers)
  return results
}

/** The manifest of a shipped model version. */
export function manifestOf(model: string, version: string): Manifest {
  return Manifest.parse(parse(readFileSync(join(MODELS, model, version, 'model.yaml'), 'utf8')))
}

/** A well-formed request to `tumour-risk`: one row of thirty features. */
export function tumourRequest(row: readonly number[] = TUMOUR_ROW): {
  inputs: { name: string; shape: number[]; datatype: string; data: unknown }[]
} {
  return { inputs: [{ name: 'features', shape: [1, row.length], datatype: 'FP32', data: [...row] }] }
}

function csvRows(file: string): number[][] {
  const [, ...lines] = readFileSync(join(MODELS, file), 'utf8').trim().split('\n')
  return lines.map(line => line.split(',').map(Number))
}

/** Rows of held-out traffic: features, and the true label at the end. */
export const TUMOUR_ROWS: readonly (readonly number[])[] = csvRows('tumour-risk/traffic.csv')
const TUMOUR_ROW = TUMOUR_ROWS[0]!.slice(0, 30)

/** Sums of an account: both sides of "eligible = not sampled + dropped + failed + compared + in flight + lost". */
export function accountSums(account: {
  eligible: number
  notSampled: number
  dropped: Readonly<Record<string, number>>
  failed: Readonly<Record<string, number>>
  compared: number
  lost: number
  inFlight: number
}): { eligible: number; accounted: number } {
  const sum = (counts: Readonly<Record<string, number>>) => Object.values(counts).reduce((a, b) => a + b, 0)
  return {
    eligible: account.eligible,
    accounted:
      account.notSampled +
      sum(account.dropped) +
      sum(account.failed) +
      account.compared +
      account.lost +
      account.inFlight,
  }
}
