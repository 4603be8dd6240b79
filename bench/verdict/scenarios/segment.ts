// A candidate that fails more often for one segment of the traffic only.
import { segmentWeight } from '../../../src/gate/stream.ts'
import { delayFigures, divided, type Outcome } from '../delays.ts'
import { type Ledger, moved, Watch, type WatchedStream } from '../linear.ts'
import { canaryPeriod, demandEqual, judged, LIVE, liveErrors, logHarmOf, policyOf, weightOf } from '../model.ts'
import { splitInformation } from '../optimum.ts'
import { Random, seedOf } from '../random.ts'
import type { Row } from '../results.ts'
import { demand, type Scenario, SEED, type Size, scaled } from '../scenario.ts'
import { atLeastTarget, atMostTarget, mean } from '../statistics.ts'
import { kayentaAt, peekedAt, Series } from '../traffic.ts'

const NAME = 'segment'
const SEGMENTS = 50
const SHARE = 0.5
const BASE_RATE = 0.01
const BAD_RATE = 0.05
const ALPHA = 0.01
/** Requests that the best test of one segment takes at α/(2·50), about; the target is 1.4 times as many. */
const REFERENCE = 63_000
const LIMIT = 1.4
const SOONER = 6
const STEP = 100
const HORIZON = 300_000
/** The aggregate is not waited for longer: where it has not found anything, it took at least this many. */
const PATIENCE = 600_000
const METHODS = [
  ['Understudy, errors alone', 'each request'],
  ['Understudy, whole verdict', 'each request'],
  ['Understudy without segments', 'each request'],
  ['z test at 5 %', '10'],
  ['z test at 5 %', '100'],
  ['Kayenta', '10'],
  ['Kayenta', '100'],
] as const

interface Part {
  readonly at: (number | null)[][]
  /** Runs in which the guilty segment, and no other, was named at the abort. */
  named: number
  namedOther: number
  aborts: number
}

interface Watched {
  readonly watch: Watch
  readonly all: WatchedStream
  readonly slots: readonly WatchedStream[]
}

export const segment: Scenario<Part> = {
  name: NAME,
  title: 'A regression in one segment',
  about: `${SEGMENTS} segments of equal traffic, w = .5; both arms fail in 1 % of requests, the candidate in 5 % in one segment, which is 1.08 % over all. Peers and the aggregate see all the traffic as one, as a dashboard does; peers up to ${HORIZON.toLocaleString('en')} requests.`,
  cells: 1,
  runs: (_, size: Size) => scaled(size, 200, 40, 1),

  measure(cell, from, to) {
    const policy = policyOf()
    const v = weightOf(policy, 'errors', LIVE)
    const tests = [watched(1), watched(v)]
    const whole = liveErrors(policyOf(), SHARE, 1)
    const aggregate = { watch: new Watch([whole], 1 / ALPHA), ...movedOf(whole) }
    const moves = tests.map(({ all, slots }) => [movedOf(all), ...slots.map(movedOf)])
    const series = new Series(HORIZON, STEP)
    const part: Part = { at: METHODS.map(() => []), named: 0, namedOther: 0, aborts: 0 }
    for (let run = from; run < to; run++) {
      const random = new Random(SEED, seedOf(NAME), cell, run)
      for (const { watch } of tests) watch.reset()
      aggregate.watch.reset()
      const at: (number | null)[] = [null, null, null]
      const counts = Array.from({ length: SEGMENTS + 1 }, () => [0, 0, 0, 0])
      const order: number[] = []
      const slotOf = new Map<number, number>()
      const bad = Math.floor(random.uniform() * SEGMENTS)
      const sums = [new Float64Array(2), new Float64Array(2)] as const
      for (let request = 1; request <= PATIENCE; request++) {
        const name = Math.floor(random.uniform() * SEGMENTS)
        const isCandidate = random.chance(SHARE)
        const isError = random.chance(isCandidate && name === bad ? BAD_RATE : BASE_RATE)
        const outcome = (isCandidate ? 0 : 1) + (isError ? 0 : 2)
        const sum = sums[isCandidate ? 0 : 1]
        sum[0]!++
        if (isError) sum[1]!++
        if (at[1] === null) {
          let slot = slotOf.get(name)
          if (slot === undefined) {
            slot = order.push(name) - 1
            slotOf.set(name, slot)
          }
          counts[0]![outcome]!++
          counts[slot + 1]![outcome]!++
          for (let index = 0; index < tests.length; index++) {
            if (at[index] !== null) continue
            const { watch, all, slots } = tests[index]!
            add(watch, moves[index]![0]!, outcome)
            add(watch, moves[index]![slot + 1]!, outcome)
            if (!watch.isDue || !watch.look()) continue
            at[index] = request
            const verdict = judged([evidence(counts, order)], policy)
            const logs = slots.map((stream, k) => Math.log(segmentWeight(k)) + Watch.logOf(stream))
            const rest = 1 - slots.reduce((total, _, k) => total + segmentWeight(k), 0)
            const sumOf = [Watch.logOf(all), ...logs, Math.log(rest)]
            const top = Math.max(...sumOf)
            const ours = top + Math.log(sumOf.reduce((total, log) => total + Math.exp(log - top), 0) / 2)
            demandEqual(ours, logHarmOf(verdict, 'errors', LIVE), 'errors with segments')
            if (index === 0) continue
            demand(verdict.decision === 'abort', `the gate says ${verdict.decision} where v·E crossed`)
            const blamed = verdict.guilty.map(guilt => guilt.segment).filter(guilty => guilty !== undefined)
            part.aborts++
            if (blamed.includes(`s=${bad}`)) part.named++
            if (blamed.some(guilty => guilty !== `s=${bad}`)) part.namedOther++
          }
        }
        if (at[2] === null) {
          add(aggregate.watch, aggregate, outcome)
          if (aggregate.watch.isDue && aggregate.watch.look()) at[2] = request
        }
        if (request % STEP === 0 && request <= HORIZON) series.mark(request / STEP - 1, sums[0], sums[1])
        if (request >= HORIZON && at[0] !== null && at[1] !== null && at[2] !== null) break
      }
      for (const [index, request] of at.entries()) part.at[index]!.push(request)
      const peers = [
        peekedAt(series, 10, 'errors'),
        peekedAt(series, 100, 'errors'),
        kayentaAt(series, 10, ['errors']),
        kayentaAt(series, 100, ['errors']),
      ]
      for (const [index, request] of peers.entries()) part.at[index + 3]!.push(request ?? null)
    }
    return part
  },

  rows(parts) {
    const outcomes = METHODS.map((_, index): Outcome[] =>
      parts[0]!.flatMap(part => part.at[index]!.map(at => ({ at: at ?? undefined }))),
    )
    const total = (of: (part: Part) => number) => parts[0]!.reduce((sum, part) => sum + of(part), 0)
    const rows = METHODS.map(([method, looks], index): Row => {
      const level = index === 1 ? ALPHA * weightOf(policyOf(), 'errors', LIVE) : ALPHA
      // Alone at half the weight and an equal share of the segments.
      const information = splitInformation(SHARE, BASE_RATE, BAD_RATE) / SEGMENTS
      const optimum = Math.log((2 * SEGMENTS) / level) / information
      const figures = delayFigures(outcomes[index]!, optimum)
      const row: Row = {
        scenario: NAME,
        setting: '1 of 50 segments, 1 → 5 %',
        method,
        looks,
        figures,
        optimum,
        at: { method: index },
      }
      if (index === 0 && figures.delay !== undefined) {
        return {
          ...row,
          target: { figure: 'delay', kind: 'at most', limit: LIMIT * REFERENCE },
          verdict: atMostTarget(figures.delay, LIMIT * REFERENCE),
        }
      }
      if (index !== 1) return row
      const note = `at ${total(part => part.aborts)} aborts the guilty segment was named ${total(part => part.named)} times, an innocent one ${total(part => part.namedOther)} times`
      return { ...row, note }
    })
    const [alone = [], , aggregate = []] = outcomes
    const slow = mean(aggregate.map(({ at }) => at ?? PATIENCE)).value
    const fast = mean(alone.map(({ at }) => at ?? PATIENCE))
    const inverse = divided(fast, slow)
    const sooner = { value: 1 / inverse.value, low: 1 / inverse.high, high: 1 / inverse.low, runs: inverse.runs }
    rows.push({
      scenario: NAME,
      setting: '1 of 50 segments, 1 → 5 %',
      method: 'Understudy, with segments against without',
      looks: 'each request',
      figures: { sooner },
      target: { figure: 'sooner', kind: 'at least', limit: SOONER },
      verdict: atLeastTarget(sooner, SOONER),
      note: `runs that the aggregate had not stopped count as ${PATIENCE.toLocaleString('en')} requests, so this is the least`,
    })
    return rows
  },
}

/** The error stream with its segments, at a share v of the budget: ½ of it over all, ½ over segments by first sight. */
function watched(v: number): Watched {
  const all = liveErrors(policyOf(), SHARE, v / 2)
  const slots = Array.from({ length: SEGMENTS }, (_, k) => liveErrors(policyOf(), SHARE, (v / 2) * segmentWeight(k)))
  const seen = slots.reduce((sum, { weight }) => sum + weight, 0)
  return { all, slots, watch: new Watch([all, ...slots], 1 / ALPHA, v / 2 - seen) }
}

function movedOf(stream: WatchedStream) {
  return { odds: moved(stream.ledgers), guard: moved(stream.guard!) }
}

function add(
  watch: Watch,
  { odds, guard }: { odds: readonly (readonly Ledger[])[]; guard: readonly (readonly Ledger[])[] },
  outcome: number,
) {
  for (const ledger of odds[outcome]!) watch.add(ledger, outcome)
  if (outcome % 2 !== 0) return
  for (const ledger of guard[outcome / 2]!) watch.add(ledger, outcome / 2)
}

function evidence(counts: readonly (readonly number[])[], order: readonly number[]) {
  const counters: Record<string, number> = {}
  for (const [
    index,
    [candidateEvents = 0, baselineEvents = 0, candidateQuiet = 0, baselineQuiet = 0],
  ] of counts.entries()) {
    if (index > order.length) continue
    const suffix = index === 0 ? '' : `@s=${order[index - 1]}`
    counters[`arm.c.n${suffix}`] = candidateEvents + candidateQuiet
    counters[`arm.c.err${suffix}`] = candidateEvents
    counters[`arm.b.n${suffix}`] = baselineEvents + baselineQuiet
    counters[`arm.b.err${suffix}`] = baselineEvents
  }
  return { ...canaryPeriod(SHARE, counters), segments: order.map(name => `s=${name}`) }
}
