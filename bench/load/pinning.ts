// Gives what is measured a processor of its own: generator and upstreams then take nothing of it, and its times are steadier.
import { execFileSync } from 'node:child_process'
import { availableParallelism } from 'node:os'

/** The processor of what is measured; everything else stays on the first. */
export const MEASURED = 1

/** Whether processes can be given processors here: Linux's `taskset`, and two processors. */
export const canPin = availableParallelism() > 1 && hasTaskset()

/** Keeps this process and all that it starts to the first processor. */
export function pinToFirst(): void {
  if (canPin) execFileSync('taskset', ['-a', '-c', '-p', '0', String(process.pid)], { stdio: 'ignore' })
}

/** The command that starts `command` on one processor. */
export function pinned(processor: number | undefined, command: readonly string[]): readonly string[] {
  return processor === undefined || !canPin ? command : ['taskset', '-c', String(processor), ...command]
}

function hasTaskset(): boolean {
  try {
    execFileSync('taskset', ['-c', '0', 'true'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}
