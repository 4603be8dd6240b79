// How many blocks of `gate.blocks` a worse candidate needs until it is aborted, by the weight that bets on signs have beside
// those on sizes. Any fixed weight is valid; this is what SIGN_WEIGHT was chosen by. Usage: node bench/micro/blocks.ts [runs]
import { SIGN_WEIGHT } from '../../src/gate/blocks.ts'
import { bettingHarm, logMean, symmetricHarm } from '../../src/gate/eprocess.ts'
import { ALPHA_ABORT } from '../../src/gate/levels.ts'
import { Random } from '../verdict/random.ts'

const RUNS = Number(process.argv[2] ?? 200)
/** 0: sizes alone; 1: signs alone. */
const WEIGHTS = [0, 0.2, 0.35, SIGN_WEIGHT, 0.65, 0.8, 1]
/** Of α_A, about what live errors have by default. */
const SHARE_OF_ALPHA = 0.2
const NEEDED = Math.log(1 / (ALPHA_ABORT * SHARE_OF_ALPHA))
/** A run that is not decided by then counts as this many. */
const MOST = 3_000

interface Setting {
  /** Requests of either cohort in a block. */
  readonly requests: number
  readonly candidate: number
  readonly baseline: number
  /** Chance that a block is an incident of one arm, in which 5 to 80 % of its requests fail. */
  readonly incidents: number
}
const SETTINGS: readonly Setting[] = [
  { requests: 100, candidate: 0.03, baseline: 0.01, incidents: 0.02 },
  { requests: 100, candidate: 0.015, baseline: 0.01, incidents: 0.02 },
  { requests: 1_000, candidate: 0.015, baseline: 0.01, incidents: 0.02 },
  { requests: 1_000, candidate: 0.015, baseline: 0.01, incidents: 0.002 },
  { requests: 100, candidate: 0.015, baseline: 0.01, incidents: 0 },
  { requests: 100, candidate: 0.03, baseline: 0.01, incidents: 0 },
  { requests: 1_000, candidate: 0.012, baseline: 0.01, incidents: 0 },
  { requests: 1_000, candidate: 0.03, baseline: 0.01, incidents: 0 },
  { requests: 100, candidate: 0.005, baseline: 0.001, incidents: 0 },
]

const settings = SETTINGS.map((setting, index) => {
  const decided = Array.from({ length: RUNS }, (_, run) => blocksNeeded(setting, new Random(1, index, run)))
  const meanOf = (weight: number) => decided.reduce((sum, run) => sum + run[weight]!, 0) / RUNS
  return { ...setting, blocks: Object.fromEntries(WEIGHTS.map((weight, at) => [weight, Math.round(meanOf(at))])) }
})
console.log(JSON.stringify({ benchmark: 'blocks', runs: RUNS, most: MOST, settings }, null, 2))

/** Blocks until each weight's mixture decides. */
function blocksNeeded(setting: Setting, random: Random): number[] {
  const needed = WEIGHTS.map(() => MOST)
  let [sum, squares, more, less] = [0, 0, 0, 0]
  for (let block = 1; block < MOST && needed.includes(MOST); block++) {
    const errors = [setting.candidate, setting.baseline].map(rate => {
      const isIncident = random.chance(setting.incidents)
      return failures(setting.requests, isIncident ? 0.05 + 0.75 * random.uniform() : rate, random)
    })
    const d = errors[0]! - errors[1]!
    sum += d
    squares += d * d
    if (d > 0) more++
    if (d < 0) less++
    const sizes = logMean(symmetricHarm(sum, squares, block, ALPHA_ABORT))
    const signs = logMean(
      bettingHarm(
        [
          [1, more],
          [-1, less],
        ],
        0,
      ),
    )
    for (const [at, weight] of WEIGHTS.entries()) {
      const log = logMean([
        { weight: 1 - weight, log: sizes },
        { weight, log: signs },
      ])
      if (needed[at] === MOST && log >= NEEDED) needed[at] = block
    }
  }
  return needed
}

function failures(requests: number, rate: number, random: Random): number {
  let failed = 0
  for (let request = 0; request < requests; request++) if (random.chance(rate)) failed++
  return failed
}
