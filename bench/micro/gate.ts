// How long a verdict takes once a thousand (candidate, metric, segment) slots have changed, and one update of a counter.
// Usage: node bench/micro/gate.ts [repetitions]; prints JSON, milliseconds and microseconds.
import { cpus } from 'node:os'
import { Route } from '../../src/config/schema.ts'
import { type Counters, count, type ReadonlyCounters, segmentSlot } from '../../src/evidence/counters.ts'
import { differenceBin } from '../../src/evidence/histogram.ts'
import { KeptCounters } from '../../src/evidence/keptCounters.ts'
import type { Evidence, Policy } from '../../src/gate/evidence.ts'
import { judge } from '../../src/gate/verdict.ts'

const REPETITIONS = Number(process.argv[2] ?? 300)

function policy(): Policy {
  const { expect, labels, gate } = Route.parse({
    live: '1.0.0',
    versions: { '1.0.0': { onnx: 'm/1.0.0', weight: 100 } },
    labels: { loss: 'brier', margin: 0.005 },
    gate: { difference: 0.05 },
  })
  return { expect, labels, gate }
}

/** Slots of one segment: disagreement, paired errors, live errors and labels, four (metric, segment) pairs. */
const SEGMENT_METRICS = 4
const SEGMENT_SLOTS: readonly (readonly [string, number])[] = [
  ['pair.match', 180],
  ['pair.mismatch', 1],
  ['pair.ok', 181],
  ['pair.err.b', 1],
  ['pair.err.c', 1],
  ['arm.b.n', 200],
  ['arm.b.err', 2],
  ['arm.c.n', 200],
  ['arm.c.err', 2],
  ['loss.-900', 3],
  ['loss.-700', 4],
  ['loss.0', 4],
  ['loss.700', 4],
  ['loss.900', 3],
]

/** Counters of a canary with `segments` segments and full histograms of the whole traffic. */
function counters(segments: readonly string[]): Counters {
  const slots: Counters = new Map()
  for (const segment of segments) {
    for (const [slot, amount] of SEGMENT_SLOTS) {
      count(slots, slot, amount)
      count(slots, segmentSlot(slot, segment), amount)
    }
  }
  const last = differenceBin(0.5)
  for (let bin = -last; bin <= last; bin += 8) {
    count(slots, `loss.${bin}`, 2)
    count(slots, `mean.${bin}`, 2)
    count(slots, 'pair.ok', 2)
    count(slots, 'pair.match', 2)
  }
  for (let bin = 400; bin < 700; bin += 2) {
    for (const side of ['lat.b', 'lat.c', 'plat.b', 'plat.c']) count(slots, `${side}.${bin}`, 20)
    count(slots, 'late.b.n', 20)
    count(slots, 'late.c.n', 20)
  }
  for (let i = 0; i < 10; i += 1) for (let j = 0; j < 10; j += 1) count(slots, `score.${i}.${j}`, i === j ? 90 : 1)
  for (const [name, amount] of [
    ['p50', 1400],
    ['p95', 140],
    ['p99', 28],
  ] as const) {
    count(slots, `late.${name}.b`, amount)
    count(slots, `late.${name}.c`, amount / 2)
    count(slots, `late.${name}.c.may`, amount / 2)
  }
  return slots
}

function evidence(slots: ReadonlyCounters, segments: readonly string[]): Evidence {
  return {
    route: 'bench',
    baseline: { version: '1.0.0', digest: 'b' },
    candidate: { version: '1.1.0', digest: 'c' },
    attempt: 1,
    candidates: 1,
    stepElapsedMs: 7_200_000,
    mirrored: { eligible: 0, dropped: 0 },
    periods: [{ key: 'k', stage: 'canary', step: 50, share: 0.5, counters: slots, segments }],
  }
}

function quantiles(values: readonly number[]) {
  const sorted = values.toSorted((a, b) => a - b)
  const at = (p: number) => Number(sorted[Math.min(sorted.length - 1, Math.floor(p * sorted.length))]!.toPrecision(3))
  return { p50: at(0.5), p95: at(0.95), max: at(1) }
}

function mean(values: readonly number[]): number {
  return Number((values.reduce((sum, value) => sum + value, 0) / values.length).toPrecision(3))
}

/** Every slot of every candidate grows, then each is judged; `fresh`: from counters that were never seen before. */
function reading(candidates: number, segmentCount: number, fresh: boolean) {
  const segments = Array.from({ length: segmentCount }, (_, index) => `origin=V${(index * 37) % 1000}`)
  const judged = policy()
  const step = counters(segments)
  const kept = Array.from({ length: candidates }, () => KeptCounters.of(step))
  const times: number[] = []
  // A loaded machine stretches the wall clock; the thread's own time it does not.
  const cpu: number[] = []
  let decision = ''
  for (let run = 0; run < REPETITIONS; run += 1) {
    for (const slots of kept) slots.addAll(step)
    const asked = kept.map(slots => evidence(fresh ? new Map(slots) : slots, segments))
    const [from, usage] = [performance.now(), process.threadCpuUsage()]
    for (const one of asked) decision = judge(one, judged).decision
    times.push(performance.now() - from)
    const { user, system } = process.threadCpuUsage(usage)
    cpu.push((user + system) / 1000)
  }
  return {
    candidates,
    segments: segmentCount,
    pairs: candidates * segmentCount * SEGMENT_METRICS,
    counters: candidates * kept[0]!.size,
    fresh,
    decision,
    ms: quantiles(times.slice(Math.min(30, REPETITIONS >> 1))),
    // The system counts a thread's time in ticks of some milliseconds, so only the mean says something.
    meanCpuMs: mean(cpu.slice(Math.min(30, REPETITIONS >> 1))),
  }
}

/** One request of 10 metrics in 2 segments counted into an epoch's delta, and deltas added to the evidence. */
function updating() {
  const slots = SEGMENT_SLOTS.slice(0, 9).flatMap(([slot]) => [
    slot,
    segmentSlot(slot, 'origin=JFK'),
    segmentSlot(slot, 'distance=[300,310)'),
  ])
  const rounds = 200_000
  const delta: Counters = new Map()
  const time = (work: () => void, updates: number) => {
    for (let index = 0; index < 3; index += 1) work()
    const from = performance.now()
    work()
    return Number((((performance.now() - from) * 1000) / updates).toPrecision(3))
  }
  const countUs = time(() => {
    for (let round = 0; round < rounds; round += 1) for (const slot of slots) count(delta, slot)
  }, rounds * slots.length)
  const namedUs = time(() => {
    for (let round = 0; round < rounds; round += 1)
      for (const [slot] of SEGMENT_SLOTS) count(delta, segmentSlot(slot, 'origin=JFK'))
  }, rounds * SEGMENT_SLOTS.length)
  const whole = KeptCounters.of(counters(['a=1', 'a=2']))
  const addUs = time(() => {
    for (let round = 0; round < 500; round += 1) whole.addAll(delta)
  }, 500 * delta.size)
  return { countUs, countSegmentUs: namedUs, commitUs: addUs }
}

console.log(
  JSON.stringify(
    {
      benchmark: 'gate',
      machine: cpus()[0]?.model,
      node: process.version,
      repetitions: REPETITIONS,
      reading: [
        reading(1, 250, false),
        reading(1, 250, true),
        reading(2, 125, false),
        reading(4, 64, false),
        reading(1, 0, false),
      ],
      updating: updating(),
    },
    null,
    2,
  ),
)
