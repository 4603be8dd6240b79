// Starts the processes of a benchmark and ends them: by the end of their input, and by their id where that is not enough.
import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { HEAP_FLAGS } from '../../src/control/heaps.ts'
import { pinned } from './pinning.ts'

export interface Running {
  readonly pid: number
  readonly ready: { readonly port: number; readonly adminPort?: number }
  close(): Promise<void>
}

const READY_DEADLINE_MS = 120_000
const END_DEADLINE_MS = 30_000

/** As `understudy serve` does it: types are stripped once and not in every thread. */
const COMPILED = fileURLToPath(new URL('../../node_modules/.cache/compiled', import.meta.url))

/**
 * Starts bench/load/peers/`peer`.ts and waits until it listens. All but gateways, which see to that themselves, are given what
 * a gateway's threads have: no ratio is of what V8 forgets between two windows.
 * @param processor where it is to run alone, see pinning.ts
 * @throws when it does not
 */
export async function startPeer(
  peer: string,
  args: readonly string[],
  flags: readonly string[] = [],
  processor?: number,
): Promise<Running> {
  const file = fileURLToPath(new URL(`./peers/${peer}.ts`, import.meta.url))
  const heapFlags = peer === 'gateway' ? [] : HEAP_FLAGS
  const [command, ...rest] = pinned(processor, [process.execPath, ...heapFlags, ...flags, file, ...args])
  const env = { NODE_COMPILE_CACHE: COMPILED, ...process.env }
  const child = spawn(command!, rest, { stdio: ['pipe', 'pipe', 'inherit'], env })
  try {
    const ready = JSON.parse(await firstLine(child, peer)) as Running['ready']
    return { pid: child.pid!, ready, close: () => end(child) }
  } catch (error) {
    await end(child)
    throw error
  }
}

async function firstLine(child: ChildProcessByStdio<Writable, Readable, null>, peer: string): Promise<string> {
  const lines = createInterface({ input: child.stdout })
  let timer: NodeJS.Timeout | undefined
  try {
    return await new Promise<string>((resolve, reject) => {
      lines.once('line', resolve)
      child.once('exit', code => reject(new Error(`${peer} ended with code ${code}`)))
      timer = setTimeout(() => reject(new Error(`${peer} was not ready in time`)), READY_DEADLINE_MS)
    })
  } finally {
    clearTimeout(timer)
    lines.close()
    child.stdout.resume()
  }
}

/** Ends a process that this one started: by the end of its input, and by its id when that is not enough. */
async function end(child: ChildProcessByStdio<Writable, Readable, null>): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = new Promise<void>(resolve => child.once('exit', () => resolve()))
  const timer = setTimeout(() => child.kill('SIGKILL'), END_DEADLINE_MS)
  child.stdin.end()
  await exited
  clearTimeout(timer)
}
