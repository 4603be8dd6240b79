// Finds Prometheus's own checker and runs it; says loudly when there is none.
import { spawn, spawnSync } from 'node:child_process'

/** Whether `promtool` can be run here (Debian's package `prometheus` has it). */
export const HAS_PROMTOOL = spawnSync('promtool', ['--version']).status === 0

/** For tests that run it: it shares a loaded machine with others. */
export const PROMTOOL_MS = 90_000

if (!HAS_PROMTOOL) {
  console.warn(
    'NOT TESTED: promtool was not found, so Prometheus itself has not checked our metrics and alert rules. It comes with the package prometheus.',
  )
}

export interface PromtoolResult {
  readonly status: number | null
  /** Both streams. */
  readonly output: string
}

export function promtool(args: readonly string[], input = ''): Promise<PromtoolResult> {
  const child = spawn('promtool', args, { timeout: PROMTOOL_MS - 5_000 })
  let output = ''
  child.stdout.on('data', (part: Buffer) => (output += part))
  child.stderr.on('data', (part: Buffer) => (output += part))
  // It may end before it has read everything.
  child.stdin.on('error', () => {})
  child.stdin.end(input)
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', status => resolve({ status, output }))
  })
}
