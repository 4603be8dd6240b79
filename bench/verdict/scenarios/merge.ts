// Replicas count apart, their reports come late, twice and out of order: the verdict must be the same to the last bit.
import { type Counters, mergeReplicas } from '../../../src/evidence/counters.ts'
import type { Period } from '../../../src/gate/evidence.ts'
import { armCounters, armsOf, canaryPeriod, judged, policyOf } from '../model.ts'
import { Random, seedOf } from '../random.ts'
import { type Scenario, SEED, type Size, scaled } from '../scenario.ts'
import { rate } from '../statistics.ts'

const NAME = 'merge'
const MOST_REPLICAS = 64
const REQUESTS = 6_000
const REPORTS = 5

interface Part {
  readonly runs: number
  readonly different: number
}

export const merge: Scenario<Part> = {
  name: NAME,
  title: 'Merging replicas',
  about: `${REQUESTS.toLocaleString('en')} requests with errors, pairs and latencies spread over 1 to ${MOST_REPLICAS} replicas. Each reports ${REPORTS} times what it counted so far; the reports are shuffled and a third of them repeated. The verdict of the merged counters is compared, whole, with that of one counter.`,
  cells: 1,
  runs: (_, size: Size) => scaled(size, 1_000, 200, 10),

  measure(cell, from, to) {
    let different = 0
    for (let run = from; run < to; run++) if (!isSame(new Random(SEED, seedOf(NAME), cell, run))) different++
    return { runs: to - from, different }
  },

  rows(parts) {
    const total = (of: (part: Part) => number) => parts[0]!.reduce((sum, part) => sum + of(part), 0)
    const different = rate(
      total(part => part.different),
      total(part => part.runs),
    )
    return [
      {
        scenario: NAME,
        setting: `1 to ${MOST_REPLICAS} replicas, shuffled and repeated`,
        method: 'Understudy',
        looks: 'once a run',
        figures: { different },
        target: { figure: 'different', kind: 'at most', limit: 0 },
        // Not a rate to bound: a single one would be a miss.
        verdict: different.value === 0 ? 'met' : 'missed',
      },
    ]
  },
}

function isSame(random: Random): boolean {
  const replicas = 1 + Math.floor(random.uniform() * MOST_REPLICAS)
  const share = [0.05, 0.25, 0.5][Math.floor(random.uniform() * 3)]!
  const ratio = random.uniform() * 4
  const whole: Counters = new Map()
  const counters: Counters[] = Array.from({ length: replicas }, () => new Map())
  const reports: [string, Counters][] = []
  for (let request = 0; request < REQUESTS; request++) {
    const replica = Math.floor(random.uniform() * replicas)
    for (const slot of slotsOf(random, share, ratio)) {
      for (const into of [whole, counters[replica]!]) into.set(slot, (into.get(slot) ?? 0) + 1)
    }
    if ((request + 1) % (REQUESTS / REPORTS) === 0)
      for (const [index, counted] of counters.entries()) reports.push([`r${index}`, new Map(counted)])
  }
  const repeated = [...reports, ...reports.filter(() => random.chance(1 / 3))]
  for (let index = repeated.length - 1; index > 0; index--) {
    const other = Math.floor(random.uniform() * (index + 1))
    ;[repeated[index], repeated[other]] = [repeated[other]!, repeated[index]!]
  }
  const policy = policyOf()
  const verdictOf = (merged: Counters) => {
    const period: Period = { ...canaryPeriod(share, {}), counters: merged }
    return JSON.stringify(judged([period], policy))
  }
  return verdictOf(mergeReplicas(repeated)) === verdictOf(whole)
}

/** What one request adds, in slots. */
function slotsOf(random: Random, share: number, ratio: number): string[] {
  const isCandidate = random.chance(share)
  const isError = random.chance(0.02 * (isCandidate ? ratio : 1))
  const counts = [0, 0, 0, 0]
  counts[(isCandidate ? 0 : 1) + (isError ? 0 : 2)] = 1
  const slots = Object.entries(armCounters(armsOf(share, counts))).flatMap(([slot, amount]) =>
    amount > 0 ? [slot] : [],
  )
  const arm = isCandidate ? 'c' : 'b'
  slots.push(`late.${arm}.n`)
  if (random.chance(0.05)) slots.push(`late.p95.${arm}`, ...(isCandidate ? ['late.p95.c.may'] : []))
  if (isCandidate && random.chance(0.3)) {
    slots.push('pair.ok', random.chance(0.01) ? 'pair.mismatch' : 'pair.match')
  }
  return slots
}
