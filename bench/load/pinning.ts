// Gives what is measured a processor of its own: generator and upstreams then take nothing of it, and its times are steadier.
import { execFileSync } from 'node:child_process'
import { availableParallelism } from 'node:os'
import { ONE_PROCESSOR_FLAGS } from '../../src/cli/oneProcessor.ts'

/** The processor of what is measured; everything else stays on the first. */
export const MEASURED = 1

/** Whether processes can be given processors here: Linux's `taskset`, and two processors. */
export const canPin = availableParallelism() > 1 && hasTaskset()

/** Keeps this process and all that it starts to the first processor. */
export function pinToFirst(): void {
  if (canPin) execFileSync('taskset', ['-a', '-c', '-p', '0', String(process.pid)], { stdio: 'ignore' })
}

/**
 * The command that starts `command` on one processor. All that runs on Node, bare proxies too, then has the flags with which
 * `understudy serve` starts itself there: no ratio is of them.
 */
export function pinned(processor: number | undefined, command: readonly string[]): readonly string[] {
  if (processor === undefined || !canPin) return command
  const [program, ...args] = command
  const flags = program === process.execPath ? ONE_PROCESSOR_FLAGS : []
  return ['taskset', '-c', String(processor), program!, ...flags, ...args]
}

function hasTaskset(): boolean {
  try {
    execFileSync('taskset', ['-c', '0', 'true'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}
