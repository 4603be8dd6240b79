// Where a gateway has one processor it starts again with flags that V8 takes only when a process begins.
import { availableParallelism } from 'node:os'

/**
 * Each thread collects its own garbage. Helper threads cannot make that shorter on one processor, and their turns there, up to
 * 4 ms each, come before the thread that answers: with them live p99 beside a hung shadow was 1.6 times as long, measured.
 */
const COLLECT_ALONE = '--single-threaded-gc'
/**
 * A full collection begins when so many percent of what the heap may grow are used. By itself V8 begins one as soon as the
 * young objects might fill the rest, which is at once where little else lives: each second on the thread beside a shadow that
 * gives no answer, half of that thread's time.
 */
const COLLECT_LATE = ['--incremental-marking-soft-trigger=70', '--incremental-marking-hard-trigger=90']

export const ONE_PROCESSOR_FLAGS: readonly string[] = [COLLECT_ALONE, ...COLLECT_LATE]

export interface Started {
  readonly processors: number
  /** Flags of node, and what follows them: the script first. */
  readonly flags: readonly string[]
  readonly script: readonly string[]
}

/** Arguments of node to start again with; undefined: all is well as it is. A choice that was made by hand stands. */
export function againWith({ processors, flags, script }: Started): string[] | undefined {
  const isChosen = flags.some(flag => /^--(no-?)?single[-_]threaded([-_]gc)?$/.test(flag))
  return processors > 1 || isChosen ? undefined : [...ONE_PROCESSOR_FLAGS, ...flags, ...script]
}

/** Does not return where it starts again: the same process, with its id, input and outputs, and the program anew. */
export function fitToProcessors(): void {
  const args = againWith({
    processors: availableParallelism(),
    flags: process.execArgv,
    script: process.argv.slice(1),
  })
  // What a parent talks to over a channel would lose it. Windows knows no such start.
  if (args === undefined || process.execve === undefined || process.send !== undefined) return
  try {
    process.execve(process.execPath, [process.execPath, ...args])
  } catch {
    // It serves as well without.
  }
}
