// Observations of a candidate as a gateway counts them, drawn at random and counted by the code that counts real ones.
import { AnswerSlots } from '../../src/evidence/answerSlots.ts'
import { count, type ReadonlyCounters, segmentSlot } from '../../src/evidence/counters.ts'
import type { CounterDeltas } from '../../src/evidence/epochPost.ts'
import { differenceBin, LATENCY_GAMMA, magnitudeBin } from '../../src/evidence/histogram.ts'
import { type LatencyLimits, latencyThresholds, pairedExceedances } from '../../src/evidence/latency.ts'
import { addPair } from '../../src/evidence/pairCount.ts'
import { addRequest } from '../../src/evidence/requestCount.ts'

/**
 * `lifelike`: probabilities, their Brier losses and latencies of a few ms, one value in a thousand far off.
 * `every bin`: values that visit every bin of every histogram, in every segment: no traffic can fill more counters.
 */
export type Kind = 'lifelike' | 'every bin'

export const LIMITS: LatencyLimits = { p50: 1.1, p95: 1.1, p99: 1.25, slack: 1 }
export const SEGMENTS = 16
/** Of `mean.<bin>`: the difference that counts as ±1. */
const SCALE = 0.02
const TOLERANCE = 0.02
/** A little more than there are bins of a difference, either sign, and of a latency. */
const DIFFERENCE_BINS = 2_400
const LATENCY_BINS = 1_209
const DIFFERENCE_GAMMA = 1.01

export class Observations {
  readonly #kind: Kind
  readonly #random: () => number
  readonly #answers = new AnswerSlots()
  #thresholds: ReturnType<typeof latencyThresholds>
  #index = 0

  constructor(kind: Kind, random: () => number) {
    this.#kind = kind
    this.#random = random
  }

  /** Before each epoch: latencies are held against what was counted before it. */
  begin(counted: ReadonlyCounters): void {
    this.#thresholds = latencyThresholds(counted, 'plat.b', LIMITS)
  }

  /**
   * Counts one comparison with its label, `amount` times each, into evidence `key`: a request of each arm where there is a
   * live split, the pair, and what the label says of it.
   */
  count(deltas: CounterDeltas, key: string, hasArms: boolean, amount: number): void {
    const { baseline, candidate, latency, loss, segment } = this.#draw()
    this.#index++
    const request = { failed: false, cohorts: [], label: undefined, notSampled: [] } as const
    const arms = hasArms ? [key] : []
    addRequest(deltas, { ...request, arm: 'b', arms, latencyMs: latency[0], mirrored: [key] }, amount)
    if (hasArms) addRequest(deltas, { ...request, arm: 'c', arms, latencyMs: latency[1], mirrored: [] }, amount)
    const slots = deltas.get(key)!
    const answers: string[] = []
    const row = (score: number) => ({ score, label: String(score >= 0.5), isMeasured: true })
    this.#answers.take(row(baseline), row(candidate), SCALE, slot => answers.push(slot))
    const differs = Math.abs(candidate - baseline) > TOLERANCE
    const pair = {
      result: differs ? 'mismatch' : 'match',
      dropped: undefined,
      errors: { baseline: false, candidate: false },
      unstable: false,
      differences: [magnitudeBin(candidate - baseline)],
      answers,
      segments: [segment],
      latency,
      late: this.#thresholds === undefined ? [] : pairedExceedances(this.#thresholds, ...latency),
      sampled: false,
    } as const
    addPair(slots, pair, amount)
    // As the label join counts it.
    const slot = `loss.${differenceBin(loss)}`
    count(slots, slot, amount)
    count(slots, segmentSlot(slot, segment), amount)
  }

  #draw() {
    return this.#kind === 'lifelike' ? this.#lifelike() : this.#everyBin()
  }

  #lifelike() {
    const baseline = 1 / (1 + Math.exp(1.5 - 1.5 * this.#normal()))
    const shift = this.#random() < 0.001 ? 0.05 : 0.002
    const candidate = clipped(baseline + shift * this.#normal(), 0, 1)
    const truth = Number(this.#random() < baseline)
    const latency = [this.#latency(), this.#latency()] as const
    const loss = (candidate - truth) ** 2 - (baseline - truth) ** 2
    // The k-th segment has 1/k of the first one's share.
    const at = Math.floor(SEGMENTS ** this.#random())
    return { baseline, candidate, latency, loss, segment: `origin=V${at}` }
  }

  #latency(): number {
    return 2 * Math.exp(0.4 * this.#normal()) * (this.#random() < 0.001 ? 10 : 1)
  }

  #everyBin() {
    const at = this.#index % DIFFERENCE_BINS
    const loss = (at % 2 === 0 ? 1 : -1) * Math.min(1, 1e-5 * DIFFERENCE_GAMMA ** (at / 2 - 1))
    const ms = 0.001 * LATENCY_GAMMA ** ((this.#index % LATENCY_BINS) - 0.5)
    const baseline = this.#random()
    const segment = `origin=V${Math.floor(this.#index / DIFFERENCE_BINS) % SEGMENTS}`
    return { baseline, candidate: baseline + SCALE * loss, latency: [ms, ms] as const, loss, segment }
  }

  #normal(): number {
    return Math.sqrt(-2 * Math.log(1 - this.#random())) * Math.cos(2 * Math.PI * this.#random())
  }
}

function clipped(value: number, low: number, high: number): number {
  return Math.max(low, Math.min(high, value))
}
