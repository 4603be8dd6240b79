// Lists the streams of a policy with their shares of the error budget. Knows neither tests nor decisions.
import { difference, distribution } from './answerStreams.ts'
import { armLabels } from './armLabels.ts'
import type { Policy, Stage, Waiver } from './evidence.ts'
import { canaryErrors, latency } from './liveStreams.ts'
import { disagreement, labels, pairedErrors, stability } from './pairedStreams.ts'
import type { SortedPeriod } from './periods.ts'
import { type Stream, type View, viewOf } from './stream.ts'

/**
 * Every stream of the policy, in the order of a report.
 *
 * α_A is shared by families: one share each for errors, latency, disagreement where `expect` is `same`, labels where they
 * are declared and the mean difference where it has a limit; half a share each for stability and the score distribution,
 * which seldom find what the others do not. Errors share theirs half and half between pairs and the live split, latency a
 * third a quantile. The shares depend on the policy alone, so that they cannot follow the data.
 */
export function streamsOf(
  policy: Policy,
  stage: Stage,
  periods: readonly SortedPeriod[],
  present: readonly SortedPeriod[],
  waiver?: Waiver,
): Stream[] {
  return streamsIn(viewOf(policy, stage, periods, present), waiver)
}

/** {@link streamsOf} of a view that is there already. */
export function streamsIn(view: View, waiver?: Waiver): Stream[] {
  const { policy } = view
  const families =
    3 +
    Number(policy.expect === 'same') +
    Number(policy.labels !== undefined) +
    Number(policy.gate.difference !== undefined)
  const v = 1 / families
  const waived = new Set(waiver?.metrics ?? [])
  const apart = waiver?.expired ? withoutAbort : withoutSay
  const streams = [
    ...(policy.labels === undefined ? [] : [armLabels(view, policy.labels, v), labels(view, policy.labels, v)]),
    disagreement(view, v),
    difference(view, v),
    pairedErrors(view, v / 2),
    canaryErrors(view, v / 2),
    ...(['p50', 'p95', 'p99'] as const).map(name => latency(name, view, v / 3)),
    stability(view, v / 2),
    distribution(view, v / 2),
  ].filter(stream => stream !== undefined)
  return streams.map(stream => (waived.has(stream.metric) ? apart(stream) : stream))
}

/**
 * When the time of an override is over no traffic moves: its metrics withhold again, and abort only once it is taken out
 * of the file. Else a version that a person let pass for weeks would be thrown out at midnight.
 */
function withoutAbort(stream: Stream): Stream {
  return { ...stream, weight: 0 }
}

/** A waived stream is shown and says nothing; the shares of the others stay as they are. */
function withoutSay({ logWithhold: _, ...stream }: Stream): Stream {
  return { ...stream, weight: 0, safe: undefined, isWaived: true }
}
