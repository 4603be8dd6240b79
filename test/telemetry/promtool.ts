// Finds Prometheus's own checker and runs it; says loudly when there is none.
import { spawnSync } from 'node:child_process'

/** Whether `promtool` can be run here (Debian's package `prometheus` has it). */
export const HAS_PROMTOOL = spawnSync('promtool', ['--version']).status === 0

if (!HAS_PROMTOOL) {
  console.warn(
    'NOT TESTED: promtool was not found, so Prometheus itself has not checked our metrics and alert rules. It comes with the package prometheus.',
  )
}

export interface PromtoolResult {
  readonly status: number | null
  /** Both streams, one after the other. */
  readonly output: string
}

export function promtool(args: readonly string[], input = ''): PromtoolResult {
  const { status, stdout, stderr } = spawnSync('promtool', args, { input, encoding: 'utf8', timeout: 20_000 })
  return { status, output: stdout + stderr }
}
