// Lays out what every stream says as the rows of a verdict, and who is guilty. Decides nothing.
import type { Check } from './checks.ts'
import type { MetricVerdict, Verdict } from './evidence.ts'
import { isWithheld } from './explain.ts'
import { guiltySegments, harmNeeded, isGuilty } from './levels.ts'
import { logSafeOf, neededOf, type SegmentHarm, type Stream, type Summary } from './stream.ts'

/** Segments that are listed for each stream, the most suspicious first; guilty ones always. */
const LISTED_SEGMENTS = 10

/** Rows of all streams; `accusers` are those that an abort is pronounced on. */
export function rowsOf(
  streams: readonly Stream[],
  accusers: readonly Stream[],
  safeNeeded: number,
): Pick<Verdict, 'metrics' | 'guilty'> {
  const guilty: Verdict['guilty'][number][] = []
  const metrics: MetricVerdict[] = []
  for (const stream of streams) {
    const accused = accusers.includes(stream) && isGuilty(stream)
    const blamed = accused ? guiltySegments(stream) : []
    if (accused && !guilty.some(({ metric, segment }) => metric === stream.metric && segment === undefined))
      guilty.push({ metric: stream.metric })
    for (const { segment } of blamed) guilty.push({ metric: stream.metric, segment })
    metrics.push(streamRow(stream, accused, safeNeeded))
    const suspicious = stream.segments.toSorted((a, b) => b.logHarm - a.logHarm)
    for (const segment of suspicious.slice(0, Math.max(LISTED_SEGMENTS, blamed.length)))
      metrics.push(segmentRow(stream, segment, blamed.includes(segment), safeNeeded))
  }
  return { metrics, guilty }
}

function streamRow(stream: Stream, accused: boolean, safeNeeded: number): MetricVerdict {
  const { safe, logWithhold } = stream
  const logSafe = logSafeOf(stream)
  // Proof is about this step; blame, and what is only watched, about everything.
  const shown = accused || (safe === undefined && logWithhold === undefined) ? stream.history : stream.present
  return {
    metric: stream.metric,
    what: stream.what,
    unit: stream.unit,
    ...(safe !== undefined && { setting: stream.setting }),
    ...plainSummary(shown),
    logHarm: stream.logHarm,
    logHarmNeeded: harmNeeded(stream),
    logSafe,
    logSafeNeeded: safeNeeded,
    state: accused ? 'guilty' : stateOf(stream, logSafe >= safeNeeded),
    needed: safe === undefined ? null : neededOf(stream, safeNeeded),
  }
}

function stateOf(stream: Stream, isSafe: boolean): MetricVerdict['state'] {
  if (stream.isWaived) return 'waived'
  if (isWithheld(stream)) return 'open'
  if (stream.safe === undefined) return 'watched'
  return isSafe ? 'safe' : 'open'
}

function segmentRow(stream: Stream, segment: SegmentHarm, blamed: boolean, safeNeeded: number): MetricVerdict {
  return {
    metric: stream.metric,
    segment: segment.segment,
    what: stream.what,
    unit: stream.unit,
    ...plainSummary(segment.summary()),
    logHarm: segment.logHarm,
    // Alone, at half the stream's weight and its own share of the other half.
    logHarmNeeded: segment.weight > 0 ? harmNeeded(stream) + Math.log(2 / segment.weight) : Number.POSITIVE_INFINITY,
    logSafe: Number.NEGATIVE_INFINITY,
    logSafeNeeded: safeNeeded,
    state: blamed ? 'guilty' : stream.isWaived ? 'waived' : 'watched',
    needed: null,
  }
}

/** The row of a check, which can only make a verdict invalid. */
export function checkRow(check: Check, isWaived: boolean, safeNeeded: number): MetricVerdict {
  return {
    metric: check.metric,
    what: check.what,
    unit: check.unit,
    ...plainSummary(check),
    logHarm: check.log,
    logHarmNeeded: isWaived ? Number.POSITIVE_INFINITY : check.logNeeded,
    logSafe: Number.NEGATIVE_INFINITY,
    logSafeNeeded: safeNeeded,
    state: isWaived ? 'waived' : 'watched',
    needed: null,
  }
}

function plainSummary({ n, estimate, baseline, interval, limit }: Summary) {
  return {
    n,
    estimate,
    ...(baseline !== undefined && { baseline }),
    ...(interval !== undefined && { interval }),
    limit,
  }
}
