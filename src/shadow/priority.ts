// Lets live answers go first where processors are scarce. Changes nothing where the system has no priorities by thread.
import { readlinkSync } from 'node:fs'
import { setPriority } from 'node:os'

/** Of `nice`: beside a serving thread that wants all of a processor, a tenth of it is left. */
const NICE = 10

/**
 * Lowers the priority of the calling thread, and so of every process that it starts. On Linux each thread has its own, by
 * the id that the kernel gives it; elsewhere a priority is the whole process's, and stays as it is.
 */
export function yieldToLive(): void {
  try {
    // Such as 1234/task/1240.
    const thread = Number(readlinkSync('/proc/thread-self').split('/').at(-1))
    setPriority(thread, NICE)
  } catch {
    // Not Linux, or not allowed: as good as before.
  }
}
