// Hands out the slots that say how answers move: signed differences, deciles of scores, pairs of classes. Judges nothing.
import type { FirstRow } from './firstRow.ts'
import { differenceBin } from './histogram.ts'
import { sanitised } from './segments.ts'
import { SlotNames } from './slotNames.ts'

/** Baseline scores that set the deciles. */
export const DECILES_FROM = 200
const DECILES = 10
/** Named classes a side; every further one is counted as `other`. */
export const CLASS_SLOTS = 16
const OTHER = 'other'

const MEANS = new SlotNames<number>('mean.')
/** By the baseline's decile, then by the candidate's. */
const SCORES = Array.from({ length: DECILES }, (_, decile) => new SlotNames<number>(`score.${decile}.`))

/**
 * The slots of one evidence key. The edges of the deciles are from the baseline's first 200 scores in this process, which no
 * later pair can move: whatever the edges, a candidate that answers like the baseline fills each decile as often as it.
 * No edge lies on a score: of a model with few different ones, half of them may be the same, and a candidate that differs by
 * rounding would move them all to the next decile.
 */
export class AnswerSlots {
  #early: number[] = []
  #edges: readonly number[] | undefined
  readonly #baseline = new ClassNames()
  readonly #candidate = new ClassNames()
  /** By the baseline's class. */
  readonly #classes = new Map<string, SlotNames<string>>()

  /** @param taken classes that have slots already, `baseline|candidate` */
  constructor(taken: Iterable<string> = []) {
    for (const pair of taken) {
      const [baseline = '', candidate = ''] = pair.split('|')
      this.#baseline.take(baseline)
      this.#candidate.take(candidate)
    }
  }

  /** Calls `add` with each slot of one pair; `scale` is the difference that counts as ±1, see `differenceScale`. */
  take(baseline: FirstRow, candidate: FirstRow, scale: number | undefined, add: (slot: string) => void): void {
    const { score: b, label: from } = baseline
    const { score: c, label: to } = candidate
    if (b !== undefined && c !== undefined) {
      // Both finite, but their difference may not be.
      if (scale !== undefined && baseline.isMeasured) add(MEANS.of(differenceBin(clipped((c - b) / scale))))
      if (this.#edges !== undefined) add(SCORES[decileOf(b, this.#edges)]!.of(decileOf(c, this.#edges)))
      else this.#learn(b)
    }
    if (from !== undefined && to !== undefined)
      add(this.#classSlots(this.#baseline.take(from)).of(this.#candidate.take(to)))
  }

  #classSlots(baseline: string): SlotNames<string> {
    let slots = this.#classes.get(baseline)
    if (slots === undefined) {
      slots = new SlotNames(`class.${baseline}|`)
      this.#classes.set(baseline, slots)
    }
    return slots
  }

  #learn(score: number): void {
    this.#early.push(score)
    if (this.#early.length < DECILES_FROM) return
    const sorted = Float64Array.from(this.#early).sort()
    this.#edges = Array.from({ length: DECILES - 1 }, (_, at) => edgeBelow(sorted, ((at + 1) * DECILES_FROM) / DECILES))
    this.#early = []
  }
}

/** Half way from the score at `index` to the next lower one; below all of them where there is none. */
function edgeBelow(sorted: Float64Array, index: number): number {
  const score = sorted[index]!
  const lower = sorted.findLast(other => other < score)
  return lower === undefined ? Number.NEGATIVE_INFINITY : lower / 2 + score / 2
}

/** The decile that a score falls in, 0 to 9: how many edges are at or below it. */
function decileOf(score: number, edges: readonly number[]): number {
  let decile = 0
  while (decile < edges.length && score >= edges[decile]!) decile++
  return decile
}

function clipped(difference: number): number {
  return Math.max(-1, Math.min(1, difference))
}

/** Names of one side's classes: first seen, first served. */
class ClassNames {
  readonly #names = new Set<string>()
  /** Labels whose name is known: cleaning one costs more than all the rest. */
  readonly #known = new Map<string, string>()

  take(label: string): string {
    const known = this.#known.get(label)
    if (known !== undefined) return known
    const name = sanitised(label)
    if (name !== OTHER && !this.#names.has(name)) {
      if (this.#names.size >= CLASS_SLOTS) return OTHER
      this.#names.add(name)
    }
    if (this.#known.size < CLASS_SLOTS) this.#known.set(label, name)
    return name
  }
}
