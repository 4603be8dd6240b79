// What processes have used, read from /proc of Linux: processor time by thread and memory. Elsewhere undefined.
import { existsSync, readdirSync, readFileSync } from 'node:fs'

export interface CpuTimes {
  /** Of the serving threads: those whose name begins with `serving-`, or the main thread where there are none. */
  readonly servingNs: number
  /** How long those were ready to run and did not, while their processor did something else. */
  readonly servingWaitedNs: number
  /** Of all threads of the process and its descendants. */
  readonly treeNs: number
  /** Of all threads, by name. */
  readonly byThread: ReadonlyMap<string, number>
}

const SERVING = 'serving-'
const PAGE_BYTES = 4096

export const hasProcfs = existsSync('/proc/self/schedstat')

/** Processor time of a process tree so far. Threads that have ended are not in it; those of a gateway do not end. */
export function cpuOf(pid: number): CpuTimes | undefined {
  if (!hasProcfs) return undefined
  const byThread = new Map<string, number>()
  const serving = { ns: 0, waitedNs: 0 }
  const main = { ns: 0, waitedNs: 0 }
  let treeNs = 0
  for (const process of treeOf(pid)) {
    for (const task of entriesOf(`/proc/${process}/task`)) {
      const name = readOr(`/proc/${process}/task/${task}/comm`).trim()
      // Time on a processor and time spent waiting for one, ns. utime and stime of `stat` are hundredths of a second.
      const [usedNs = 0, waitedNs = 0] = readOr(`/proc/${process}/task/${task}/schedstat`).split(' ').map(Number)
      treeNs += usedNs
      if (process === pid && name.startsWith(SERVING)) {
        serving.ns += usedNs
        serving.waitedNs += waitedNs
      }
      if (process === pid && Number(task) === pid) Object.assign(main, { ns: usedNs, waitedNs })
      const label = process === pid ? name : `child ${name}`
      byThread.set(label, (byThread.get(label) ?? 0) + usedNs)
    }
  }
  const { ns, waitedNs } = serving.ns === 0 ? main : serving
  return { servingNs: ns, servingWaitedNs: waitedNs, treeNs, byThread }
}

/** Resident memory of a process tree, bytes. Pages that processes share count in each. */
export function residentBytesOf(pid: number): number | undefined {
  if (!hasProcfs) return undefined
  let bytes = 0
  for (const process of treeOf(pid)) bytes += Number(readOr(`/proc/${process}/statm`).split(' ')[1] || 0) * PAGE_BYTES
  return bytes
}

/** A process and its descendants. */
export function treeOf(pid: number): number[] {
  const tree = [pid]
  for (let index = 0; index < tree.length; index++) {
    for (const task of entriesOf(`/proc/${tree[index]}/task`)) {
      const children = readOr(`/proc/${tree[index]}/task/${task}/children`)
      for (const child of children.split(' ')) if (child.trim() !== '') tree.push(Number(child))
    }
  }
  return tree
}

/** Processors that this process may run on, and the load average of the last minute. */
export function machineLoad(): number {
  return Number(readOr('/proc/loadavg').split(' ')[0] || 0)
}

function entriesOf(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}

/** A thread may end between listing and reading. */
function readOr(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}
