// Looks at mixtures of bets after every request without computing each of them. Knows no metric and makes no bet itself.
//
// Every bet of the gate is a product of factors, one for each observation, so its logarithm is linear in the counts. The
// increments are read off the product's own functions at unit counts; `LinearBets` refuses a function that is not linear.
//
// When may a look be skipped? Between two looks the weighted sum S can grow at most by the factor e^(sum of the greatest
// increments of what was observed). As long as that bound stays below the threshold no look could have crossed it, so
// skipping is exact: the request at which a run crosses is the one that a look after every request would have found.
import { type Bet, logMean } from '../../src/gate/eprocess.ts'

/** A bet below e^−7 is counted as e^−7 until it may have grown above it, so that dead bets cost no looks. */
const SLEEP = -7
const AWAKE = -14

/** Bets whose logarithms are linear in the counts of a few outcomes. */
export class LinearBets {
  readonly weights: Float64Array
  /** `steps[outcome][bet]`: what one observation adds to the bet's logarithm. */
  readonly steps: readonly Float64Array[]
  /** The greatest of an outcome's increments, at least 0. */
  readonly largest: Float64Array

  /**
   * @param bets the product's function of the counts of the outcomes
   * @throws Error when it is not linear: then nothing here may stand for it
   */
  constructor(outcomes: number, bets: (counts: readonly number[]) => readonly Bet[]) {
    const none = bets(new Array<number>(outcomes).fill(0))
    this.weights = Float64Array.from(none, bet => bet.weight)
    if (none.some(bet => bet.log !== 0)) throw new Error('a bet without observations is not 1')
    this.steps = Array.from({ length: outcomes }, (_, outcome) => {
      const unit = bets(Array.from({ length: outcomes }, (_, index) => Number(index === outcome)))
      return Float64Array.from(unit, bet => bet.log)
    })
    this.largest = Float64Array.from(this.steps, steps => steps.reduce((most, step) => Math.max(most, step), 0))
    const mixed = Array.from({ length: outcomes }, (_, index) => 3 + 2 * index)
    for (const [index, bet] of bets(mixed).entries()) {
      const sum = mixed.reduce((log, amount, outcome) => log + amount * this.steps[outcome]![index]!, 0)
      if (Math.abs(sum - bet.log) > 1e-9 * Math.max(1, Math.abs(sum)) || bet.weight !== this.weights[index])
        throw new Error(`bet ${index} is not linear in its counts: ${bet.log} and ${sum}`)
    }
  }

  get size(): number {
    return this.weights.length
  }

  /**
   * The bets by how fast they move, since slow ones need a look less often.
   * @param like whose speeds decide: bets of several shares must be grouped alike
   */
  groups(like: LinearBets = this): LinearBets[] {
    const bySpeed = new Map<string, number[]>()
    for (let bet = 0; bet < this.size; bet++) {
      const key = like.steps.map(steps => (steps[bet] === 0 ? '-' : Math.round(Math.log2(Math.abs(steps[bet]!)) / 3)))
      const members = bySpeed.get(key.join()) ?? []
      members.push(bet)
      bySpeed.set(key.join(), members)
    }
    return [...bySpeed.values()].map(members => this.#only(members))
  }

  #only(members: readonly number[]): LinearBets {
    const pick = (values: Float64Array) => Float64Array.from(members, bet => values[bet]!)
    const steps = this.steps.map(pick)
    const largest = Float64Array.from(steps, values => values.reduce((most, step) => Math.max(most, step), 0))
    return Object.assign(Object.create(LinearBets.prototype), { weights: pick(this.weights), steps, largest })
  }
}

/** The counts of one group of bets; what earlier shares left behind is carried as logarithms. */
export class Ledger {
  bets: LinearBets
  readonly counts: Float64Array
  readonly #carried: Float64Array
  /** Whether its increments bound the sum; else it sleeps, or the other side of a minimum leads. */
  isCounted = true
  /** How much it may still grow before it has to be looked at again. */
  sleep = Number.POSITIVE_INFINITY

  constructor(bets: LinearBets) {
    this.bets = bets
    this.counts = new Float64Array(bets.steps.length)
    this.#carried = new Float64Array(bets.size)
  }

  /** Σ weight·e^log, and the greatest logarithm in `most`. */
  sum(): number {
    const { weights, steps } = this.bets
    let sum = 0
    let most = Number.NEGATIVE_INFINITY
    for (let bet = 0; bet < weights.length; bet++) {
      const log = this.#log(bet, steps)
      if (log > most) most = log
      sum += weights[bet]! * Math.exp(log)
    }
    this.most = most
    return sum
  }
  most = 0

  /** Every bet at present. */
  present(): { weight: number; log: number }[] {
    return Array.from(this.bets.weights, (weight, bet) => ({ weight, log: this.#log(bet, this.bets.steps) }))
  }

  /** Goes on with the increments of another share; the bets must be the same ones in the same order. */
  change(bets: LinearBets): void {
    for (let bet = 0; bet < this.#carried.length; bet++) this.#carried[bet] = this.#log(bet, this.bets.steps)
    this.bets = bets
    this.counts.fill(0)
  }

  reset(): void {
    this.counts.fill(0)
    this.#carried.fill(0)
    this.isCounted = true
    this.sleep = Number.POSITIVE_INFINITY
  }

  #log(bet: number, steps: readonly Float64Array[]): number {
    let log = this.#carried[bet]!
    for (let outcome = 0; outcome < steps.length; outcome++) log += this.counts[outcome]! * steps[outcome]![bet]!
    return log
  }
}

export function ledgersOf(groups: readonly LinearBets[]): Ledger[] {
  return groups.map(bets => new Ledger(bets))
}

/** The ledgers that an outcome moves, by outcome: bets without an increment need not hear of it. */
export function moved(ledgers: readonly Ledger[]): readonly (readonly Ledger[])[] {
  return (ledgers[0]?.bets.steps ?? []).map((_, outcome) =>
    ledgers.filter(ledger => ledger.bets.steps[outcome]!.some(step => step !== 0)),
  )
}

/** One stream: its share v of the error budget, and the groups of its mixture. */
export interface WatchedStream {
  readonly weight: number
  readonly ledgers: readonly Ledger[]
  /** A second mixture, of which the smaller e-value counts (errors: more than the baseline's *and* than the floor). */
  readonly guard?: readonly Ledger[]
}

/** Waits for Σ v·E to reach a threshold. `add` every observation, then ask `isDue`, and if so `look`. */
export class Watch {
  readonly #streams: readonly WatchedStream[]
  readonly #threshold: number
  /** What sleeping bets may hold in all is set aside. */
  readonly #awake: number
  #budget = 0
  looks = 0

  /** @param idle what streams without data hold of the sum, E = 1 each. */
  constructor(streams: readonly WatchedStream[], threshold: number, idle = 0) {
    this.#streams = streams
    this.#threshold = threshold - idle
    this.#awake = this.#threshold - streams.reduce((sum, { weight }) => sum + weight, 0) * Math.exp(SLEEP)
  }

  add(ledger: Ledger, outcome: number): void {
    ledger.counts[outcome]!++
    if (ledger.isCounted) this.#budget -= ledger.bets.largest[outcome]!
    else {
      ledger.sleep -= ledger.bets.largest[outcome]!
      if (ledger.sleep <= 0) this.#budget = Number.NEGATIVE_INFINITY
    }
  }

  get isDue(): boolean {
    return this.#budget <= 0
  }

  /** Whether the threshold is reached now, by every bet's present value. */
  look(): boolean {
    this.looks++
    let total = 0
    let awake = 0
    for (const { weight, ledgers, guard } of this.#streams) {
      const guarding = guard === undefined ? Number.POSITIVE_INFINITY : sumOf(guard)
      const odds = sumOf(ledgers)
      const guards = guarding < odds
      total += weight * Math.min(odds, guarding)
      const leaders = guards ? guard! : ledgers
      for (const ledger of guards ? ledgers : (guard ?? [])) {
        // The smaller side bounds the minimum by itself.
        ledger.isCounted = false
        ledger.sleep = Number.POSITIVE_INFINITY
      }
      for (const ledger of leaders) {
        ledger.isCounted = ledger.most > AWAKE
        ledger.sleep = ledger.isCounted ? Number.POSITIVE_INFINITY : SLEEP - ledger.most
        if (ledger.isCounted) awake += weight * ledger.sum()
      }
    }
    this.#budget = awake > 0 ? Math.log(this.#awake / awake) : Number.POSITIVE_INFINITY
    return total >= this.#threshold
  }

  /** ln E of one stream at present. */
  static logOf({ ledgers, guard }: WatchedStream): number {
    const logOf = (side: readonly Ledger[]) => logMean(side.flatMap(ledger => ledger.present()))
    return Math.min(logOf(ledgers), guard === undefined ? Number.POSITIVE_INFINITY : logOf(guard))
  }

  reset(): void {
    for (const { ledgers, guard = [] } of this.#streams) {
      for (const ledger of ledgers) ledger.reset()
      for (const ledger of guard) ledger.reset()
    }
    this.#budget = 0
  }
}

function sumOf(ledgers: readonly Ledger[]): number {
  let sum = 0
  for (const ledger of ledgers) sum += ledger.sum()
  return sum
}
