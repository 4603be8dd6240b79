// Which metric slot a counter belongs to: one metric of one candidate, over all traffic or in one segment. Pure.
import { splitSlot } from '../../src/evidence/counters.ts'

/** By the longest prefix. The quantiles of a latency share its histogram, and so are one metric here. */
const METRICS: readonly (readonly [prefix: string, metric: string])[] = [
  ['pair.match', 'disagreement'],
  ['pair.mismatch', 'disagreement'],
  ['again.', 'disagreement'],
  ['pair.unstable', 'stability'],
  ['pair.late.', 'paired latency'],
  ['plat.', 'paired latency'],
  ['pair.', 'paired errors'],
  ['lat.', 'latency'],
  ['late.', 'latency'],
  ['arm.b.loss.', 'labels of arms'],
  ['arm.c.loss.', 'labels of arms'],
  ['arm.', 'errors'],
  ['block.', 'errors'],
  ['diff.', 'size of differences'],
  ['mean.', 'difference'],
  ['score.', 'distribution'],
  ['class.', 'distribution'],
  ['loss.', 'labels'],
]
/** Where requests went and how long a key was open: no metric. */
const ACCOUNT = 'account'

/** The counters of each metric slot, by `metric` or `metric@segment`. */
export function metricSlots(names: Iterable<string>): Map<string, string[]> {
  const found = new Map<string, string[]>()
  for (const name of names) {
    const [slot, segment] = splitSlot(name)
    const metric = METRICS.find(([prefix]) => slot.startsWith(prefix))?.[1] ?? ACCOUNT
    const key = segment === undefined ? metric : `${metric}@${segment}`
    const names = found.get(key)
    if (names === undefined) found.set(key, [name])
    else names.push(name)
  }
  return found
}
