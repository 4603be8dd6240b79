// How far the gate's fixed bets are from the best: mean delay of one stream over Wald's optimum ln(1/α)/KL, by simulation.
// Any fixed bets are valid; this is what they were chosen by. Usage: node bench/micro/grid.ts [runs]; prints JSON.
import {
  type ArmCounts,
  type Bet,
  bettingHarm,
  bettingSafe,
  errorOddsHarm,
  labelOddsHarm,
  labelOddsSafe,
  logMean,
  shareHarm,
  shareSafe,
} from '../../src/gate/eprocess.ts'

const RUNS = Number(process.argv[2] ?? 200)
/** GATE.md's grid, all with one weight. */
const EIGHT = [1.15, 1.35, 1.7, 2.3, 3.5, 6, 12, 40].map(ratio => ({ ratio, weight: 1 / 8 }))
const SIX = [0.25, 0.5, 0.75, 0.9, 1, 1.1].map(ratio => ({ ratio, weight: 1 / 6 }))

let state = 7
function uniform(): number {
  state = (state + 0x6d2b79f5) >>> 0
  let t = Math.imul(state ^ (state >>> 15), state | 1)
  t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
  return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
}

/** Exact for few trials or few successes, else the normal approximation. */
function binomial(n: number, p: number): number {
  if (n === 0 || p <= 0) return 0
  if (n < 30) {
    let hits = 0
    for (let trial = 0; trial < n; trial += 1) hits += Number(uniform() < p)
    return hits
  }
  if (n * p < 30) {
    let hits = -1
    for (let at = 0; at <= n; hits += 1) at += Math.floor(Math.log(1 - uniform()) / Math.log1p(-p)) + 1
    return hits
  }
  const normal = Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform())
  return Math.max(0, Math.min(n, Math.round(n * p + Math.sqrt(n * p * (1 - p)) * normal)))
}

function divergence(p: number, q: number): number {
  return (p > 0 ? p * Math.log(p / q) : 0) + (p < 1 ? (1 - p) * Math.log((1 - p) / (1 - q)) : 0)
}

/** The least KL per request between these rates and any with candidate = ratio · baseline. */
function information(w: number, candidate: number, baseline: number, ratio: number): number {
  const at = (b: number) =>
    w * divergence(candidate, Math.min(1 - 1e-12, ratio * b)) + (1 - w) * divergence(baseline, b)
  let [low, high] = [1e-9, Math.min(1, 1 / ratio) - 1e-9]
  for (let step = 0; step < 200; step += 1) {
    const [a, b] = [low + (high - low) / 3, high - (high - low) / 3]
    if (at(a) < at(b)) high = b
    else low = a
  }
  return at((low + high) / 2)
}

/** Bets are linear in the counts: what one observation of each outcome adds, and the weights. */
function linear(outcomes: number, bets: (counts: readonly number[]) => readonly Bet[]) {
  const units = Array.from({ length: outcomes }, (_, outcome) =>
    bets(Array.from({ length: outcomes }, (_, index) => Number(index === outcome))),
  )
  return { weights: units[0]!.map(({ weight }) => weight), steps: units.map(unit => unit.map(({ log }) => log)) }
}

/** Mean delay over the optimum of several mixtures on the same simulated requests. */
function delays(
  mixtures: readonly ReturnType<typeof linear>[],
  draw: (n: number) => readonly number[],
  optimum: number,
  alpha: number,
): number[] {
  const block = Math.max(1, Math.round(optimum / 250))
  const sums = mixtures.map(() => 0)
  for (let run = 0; run < RUNS; run += 1) {
    const open = new Set(mixtures.keys())
    let counts: number[] = []
    for (let n = block; open.size > 0; n += block) {
      for (const [outcome, amount] of draw(block).entries()) counts[outcome] = (counts[outcome] ?? 0) + amount
      for (const index of open) {
        const { weights, steps } = mixtures[index]!
        const logs = weights.map((weight, bet) => ({
          weight,
          log: steps.reduce((sum, step, outcome) => sum + counts[outcome]! * step[bet]!, 0),
        }))
        if (logMean(logs) < Math.log(1 / alpha) && n < 60 * optimum) continue
        sums[index]! += n - (block - 1) / 2
        open.delete(index)
      }
    }
    counts = []
  }
  return sums.map(sum => Number((sum / RUNS / optimum).toFixed(3)))
}

const armsOf = (share: number, [ce = 0, be = 0, cq = 0, bq = 0]: readonly number[]): ArmCounts[] => [
  { share, candidateEvents: ce, baselineEvents: be, candidate: ce + cq, baseline: be + bq },
]

function split(w: number, candidate: number, baseline: number) {
  return (n: number) => {
    const c = binomial(n, w)
    const [ce, be] = [binomial(c, candidate), binomial(n - c, baseline)]
    return [ce, be, c - ce, n - c - be]
  }
}

function p1(ratio: number, base: number, shares: readonly number[], nullRatio: number, alpha: number) {
  const rows = shares.map(w => {
    const mixtures =
      nullRatio === 1
        ? [(arms: ArmCounts[]) => errorOddsHarm(arms), (arms: ArmCounts[]) => labelOddsHarm(arms, [0], EIGHT)]
        : [
            (arms: ArmCounts[]) => labelOddsSafe(arms, nullRatio),
            (arms: ArmCounts[]) => labelOddsSafe(arms, nullRatio, 0, SIX),
          ]
    const optimum = Math.log(1 / alpha) / information(w, ratio * base, base, nullRatio)
    return delays(
      mixtures.map(bets => linear(4, counts => bets(armsOf(w, counts)))),
      split(w, ratio * base, base),
      optimum,
      alpha,
    )
  })
  return rows[0]!.map((_, index) => Number((rows.reduce((sum, row) => sum + row[index]!, 0) / rows.length).toFixed(3)))
}

function p2(p: number, limit: number, alpha: number) {
  const present = p > limit ? shareHarm : shareSafe
  const plain = p > limit ? bettingHarm : bettingSafe
  const mixtures = [
    linear(2, ([events = 0, quiet = 0]) => present(events, events + quiet, limit)),
    linear(2, ([events = 0, quiet = 0]) =>
      plain(
        [
          [1, events],
          [0, quiet],
        ],
        limit,
      ),
    ),
  ]
  const draw = (n: number) => {
    const events = binomial(n, p)
    return [events, n - events]
  }
  return delays(mixtures, draw, Math.log(1 / alpha) / divergence(p, limit), alpha)
}

const SHARES = [0.05, 0.1, 0.25, 0.5]
const harm = [0.005, 0.01, 0.05, 0.2].flatMap(base =>
  [1.25, 1.5, 2, 3, 5, 10]
    .filter(ratio => ratio * base < 1)
    .map(ratio => {
      const [gate, eight] = p1(ratio, base, SHARES, 1, 0.01)
      return { base, ratio, gate, eightEqualBets: eight }
    }),
)
const safe = [1.25, 1.5, 2].flatMap(nullRatio =>
  [0.8, 0.9, 1].map(ratio => {
    const [gate, six] = p1(ratio, 0.01, SHARES, nullRatio, 0.05)
    return { nullRatio, ratio, gate, sixEqualBets: six }
  }),
)
const disagreement = [0, 0.0025, 0.005, 0.008, 0.0125, 0.015, 0.02, 0.03, 0.05, 0.1, 0.3].map(p => {
  const [gate, fractions] = p2(p, 0.01, p > 0.01 ? 0.01 : 0.05)
  return { budget: 0.01, differ: p, gate, bettingFractions: fractions }
})
console.log(JSON.stringify({ benchmark: 'grid', runs: RUNS, harm, safe, disagreement }, null, 2))
