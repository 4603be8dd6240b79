import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { AnswerSlots, CLASS_SLOTS, DECILES_FROM } from '../../src/evidence/answerSlots.ts'
import type { FirstRow } from '../../src/evidence/firstRow.ts'
import { highDifference, lowDifference } from '../../src/evidence/histogram.ts'

const scored = (score: number | undefined, isMeasured = true): FirstRow => ({ score, label: undefined, isMeasured })
const named = (label: string): FirstRow => ({ score: undefined, label, isMeasured: false })

function slotsOf(slots: AnswerSlots, b: FirstRow, c: FirstRow, scale?: number): string[] {
  const taken: string[] = []
  slots.take(b, c, scale, slot => taken.push(slot))
  return taken
}

/** Slots whose deciles have their edges at 19.5, 39.5, … 179.5. */
function learned(): AnswerSlots {
  const slots = new AnswerSlots()
  for (let score = 0; score < DECILES_FROM; score++) expect(slotsOf(slots, scored(score), scored(0))).toEqual([])
  return slots
}

describe('the slots of two answers', () => {
  it('are none without anything to count', () => {
    expect(slotsOf(new AnswerSlots(), scored(undefined), scored(undefined), 1)).toEqual([])
    expect(slotsOf(learned(), scored(1), scored(undefined), 1)).toEqual([])
    expect(slotsOf(learned(), scored(undefined), scored(1), 1)).toEqual([])
  })

  it('hold the signed difference over the scale, clipped, where a difference means something', () => {
    const slots = new AnswerSlots()
    const binOf = (b: number, c: number, scale: number) => {
      const [slot] = slotsOf(slots, scored(b), scored(c), scale)
      return Number(slot!.slice('mean.'.length))
    }
    expect(binOf(1, 1, 10)).toBe(0)
    const bin = binOf(3, 1, 10)
    expect(lowDifference(bin)).toBeLessThanOrEqual(-0.2)
    expect(highDifference(bin)).toBeGreaterThanOrEqual(-0.2)
    expect(lowDifference(binOf(0, 1e9, 10))).toBe(1)
    expect(highDifference(binOf(1e308, -1e308, 1e-300))).toBe(-1)
    expect(slotsOf(slots, scored(1, false), scored(2, false), 1)).toEqual([])
    expect(slotsOf(slots, scored(1), scored(2), undefined)).toEqual([])
  })

  it('name deciles of the first 200 baseline scores, which no later score moves', () => {
    const slots = learned()
    expect(slotsOf(slots, scored(-5), scored(19.4))).toEqual(['score.0.0'])
    expect(slotsOf(slots, scored(20), scored(199))).toEqual(['score.1.9'])
    for (let late = 0; late < 500; late++) slotsOf(slots, scored(1e6), scored(1e6))
    expect(slotsOf(slots, scored(179), scored(180))).toEqual(['score.8.9'])
  })

  it('do not tell a candidate apart that differs by rounding, where many scores are the same', () => {
    for (const leaves of [[0.3], [0.1, 0.3, 0.3, 0.3, 0.5], [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1]]) {
      const slots = new AnswerSlots()
      for (let n = 0; n < DECILES_FROM; n++) slotsOf(slots, scored(leaves[n % leaves.length]), scored(0))
      for (const leaf of leaves)
        for (const noise of [-1e-8, 1e-8])
          expect(slotsOf(slots, scored(leaf), scored(leaf + noise))[0]).toMatch(/^score\.(\d)\.\1$/)
    }
  })

  it('fill deciles for equal answers in equal places, whatever the scores (property)', () => {
    fc.assert(
      fc.property(
        fc.array(fc.double({ noNaN: true, noDefaultInfinity: true }), {
          minLength: DECILES_FROM,
          maxLength: DECILES_FROM,
        }),
        fc.double({ noNaN: true, noDefaultInfinity: true }),
        (scores, score) => {
          const slots = new AnswerSlots()
          for (const each of scores) slotsOf(slots, scored(each), scored(each))
          const [slot] = slotsOf(slots, scored(score), scored(score))
          expect(slot).toMatch(/^score\.(\d)\.\1$/)
        },
      ),
      { seed: 7, numRuns: 50 },
    )
  })

  it('name sixteen classes a side, in order of first sight, and every other one `other`', () => {
    const slots = new AnswerSlots()
    for (let at = 0; at < CLASS_SLOTS; at++) {
      expect(slotsOf(slots, named(`b${at}`), named(`c${at}`))).toEqual([`class.b${at}|c${at}`])
    }
    expect(slotsOf(slots, named('b16'), named('c0'))).toEqual(['class.other|c0'])
    expect(slotsOf(slots, named('b0'), named('c16'))).toEqual(['class.b0|other'])
  })

  it('go on with the classes that a restarted thread has handed out', () => {
    const first = new AnswerSlots()
    const taken = Array.from({ length: CLASS_SLOTS }, (_, at) => slotsOf(first, named(`b${at}`), named('c'))[0]!)
    const next = new AnswerSlots(taken.map(slot => slot.slice('class.'.length)))
    expect(slotsOf(next, named('new'), named('c'))).toEqual(['class.other|c'])
    expect(slotsOf(next, named('b15'), named('c'))).toEqual(['class.b15|c'])
  })

  it('hold no sign that parts slots', () => {
    expect(slotsOf(new AnswerSlots(), named('a|b@c=d'), named('\n'))).toEqual(['class.a_b_c_d|_'])
  })
})
