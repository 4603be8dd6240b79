// Lists the streams of a policy with their shares of the error budget. Knows neither tests nor decisions.
import type { Policy, Stage } from './evidence.ts'
import { canaryErrors, latency } from './liveStreams.ts'
import { disagreement, labels, labelsCount, pairedErrors, stability } from './pairedStreams.ts'
import type { SortedPeriod } from './periods.ts'
import type { Stream } from './stream.ts'

/**
 * Every stream of the policy, in the order of a report.
 *
 * α_A is shared equally by families that can abort: errors, stability and latency always, disagreement where `expect` is
 * `same`, labels where they count. Errors share theirs half and half between pairs and the live split, latency a third a
 * quantile. The shares depend on the policy alone, so that they cannot follow the data.
 */
export function streamsOf(
  policy: Policy,
  stage: Stage,
  periods: readonly SortedPeriod[],
  present: readonly SortedPeriod[],
): Stream[] {
  const families = 3 + Number(policy.expect === 'same') + Number(labelsCount(policy))
  const v = 1 / families
  const streams = [
    ...(policy.labels === undefined ? [] : [labels(policy, policy.labels, v, periods, present)]),
    disagreement(policy, v, periods, present),
    pairedErrors(policy, v / 2, periods, present),
    canaryErrors(policy, v / 2, stage, periods, present),
    ...(['p50', 'p95', 'p99'] as const).map(name => latency(name, policy, v / 3, stage, periods, present)),
    stability(policy, v, periods, present),
  ]
  return streams.filter(stream => stream !== undefined)
}
