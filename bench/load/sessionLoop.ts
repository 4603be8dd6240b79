// A window of nothing but session.run, in the process of peers/scorer.ts: the limit of whatever scores one row at a time.
import { Latencies } from '../../src/load/latencies.ts'
import { cpuOf } from './procfs.ts'
import type { System } from './systems.ts'
import type { Window } from './windows.ts'

/** Runs over the rows that were posted to it before; it has no requests and so no latencies. */
export async function sessionWindow({ pid, url }: System, windowSeconds: number): Promise<Window> {
  const before = cpuOf(pid)
  const answer = await fetch(`${new URL(url).origin}/loop?ms=${windowSeconds * 1000}`)
  const { runs, seconds } = (await answer.json()) as { runs: number; seconds: number }
  const after = cpuOf(pid)
  const perRunUs = (key: 'servingNs' | 'treeNs') =>
    before === undefined || after === undefined ? undefined : (after[key] - before[key]) / 1000 / runs
  return {
    perSecond: runs / seconds,
    p50Ms: Number.NaN,
    p99Ms: Number.NaN,
    lateP99Ms: Number.NaN,
    servingUs: perRunUs('servingNs'),
    treeUs: perRunUs('treeNs'),
    requests: runs,
    latency: new Latencies().summary(),
    failures: 0,
    failedBy: {},
  }
}
