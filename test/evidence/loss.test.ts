import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  boundedLoss,
  type Label,
  lossDifference,
  lossOf,
  type Prediction,
  predictionOf,
  predictionsOf,
} from '../../src/evidence/loss.ts'

const brier = { loss: 'brier', clip: 1 } as const
const zeroOne = { loss: 'zero-one', clip: 1 } as const

describe('unusable predictions and labels', () => {
  it('give a side without a prediction the greatest loss', () => {
    expect(lossDifference(0.2, null, 0, brier)).toBeCloseTo(0.96)
    expect(lossDifference(null, 0.2, 0, brier)).toBeCloseTo(-0.96)
    expect(lossDifference(3, Number.NaN, 3, { loss: 'squared', clip: 10 })).toBe(1)
    expect(lossDifference(null, null, 1, brier)).toBe(0)
  })

  it('leave out what the label alone makes unusable', () => {
    expect(lossDifference(0.2, 0.3, Number.NaN, brier)).toBeUndefined()
    expect(lossDifference(0.2, 0.3, 'maybe', brier)).toBeUndefined()
    expect(lossDifference([0.5, 0.5], [0.5, 0.5], 7, brier)).toBeUndefined()
    expect(lossDifference([0.5, 0.5], [0.5, 0.5], 0.5, brier)).toBeUndefined()
    expect(lossDifference(0.2, null, 'maybe', brier)).toBeUndefined()
  })

  it('never leave [−1, 1] and never give NaN', () => {
    const prediction: fc.Arbitrary<Prediction> = fc.oneof(
      fc.double(),
      fc.string(),
      fc.array(fc.double(), { maxLength: 4 }),
      fc.constant(null),
    )
    const label: fc.Arbitrary<Label> = fc.oneof(fc.double(), fc.integer({ min: 0, max: 3 }), fc.string(), fc.boolean())
    const loss = fc.constantFrom('zero-one', 'brier', 'logloss', 'absolute', 'squared' as const)
    fc.assert(
      fc.property(prediction, prediction, label, loss, (b, c, y, name) => {
        const difference = lossDifference(b, c, y, { loss: name as 'brier', clip: 0.5 })
        if (difference === undefined) return
        expect(difference).toBeGreaterThanOrEqual(-1)
        expect(difference).toBeLessThanOrEqual(1)
      }),
    )
  })
})

describe('losses', () => {
  it('brier of two classes is (p − y)²', () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 1, noNaN: true }), fc.constantFrom(0, 1), (p, y) => {
        expect(lossOf([1 - p, p], y, brier)).toBeCloseTo((p - y) ** 2, 12)
        expect(lossOf(p, y === 1, brier)).toBeCloseTo((p - y) ** 2, 12)
      }),
    )
    expect(lossOf([1, 0, 0], 1, brier)).toBe(1)
  })

  it('zero-one takes labels, thresholds and the greatest entry', () => {
    expect(lossOf('cat', 'cat', zeroOne)).toBe(0)
    expect(lossOf(2, '2', zeroOne)).toBe(0)
    expect(lossOf(0.4, true, zeroOne)).toBe(1)
    expect(lossOf(0.4, true, { ...zeroOne, threshold: 0.3 })).toBe(0)
    expect(lossOf([0.65, 0.35], 1, { ...zeroOne, threshold: 0.3 })).toBe(0)
    expect(lossOf([0.1, 0.2, 0.7], 2, zeroOne)).toBe(0)
    expect(lossDifference(1, 0, 1, zeroOne)).toBe(1)
  })

  it('logloss, absolute and squared are clipped and divided', () => {
    expect(lossOf([0.5, 0.5], 1, { loss: 'logloss', clip: 1 })).toBeCloseTo(Math.LN2)
    expect(lossDifference(0.5, 0, 1, { loss: 'logloss', clip: 2 })).toBe(1)
    expect(lossDifference(10, 12, 10, { loss: 'absolute', clip: 8 })).toBe(0.25)
    expect(lossDifference(10, 9, 8, { loss: 'squared', clip: 30 })).toBeCloseTo(-0.1)
  })
})

describe('predictions', () => {
  it('are one a row, raw', () => {
    const tensor = {
      name: 'p',
      datatype: 'FP64' as const,
      shape: [2, 2],
      data: Float64Array.of(0.5, 0.5, 0.25, Number.NaN),
    }
    expect(predictionsOf({ tensors: [tensor] }, { output: 'p', kind: undefined })).toEqual([[0.5, 0.5], null])
    expect(predictionOf({ tensors: [tensor] }, { output: 'p', kind: undefined })).toBeNull()
    const label = { name: 'l', datatype: 'INT64' as const, shape: [1], data: BigInt64Array.of(3n) }
    expect(predictionOf({ tensors: [label] }, { output: undefined, kind: undefined })).toBe(3)
    expect(predictionOf({ json: { y: 0.25 } }, { output: '/y', kind: undefined })).toBe(0.25)
    expect(predictionOf({ json: { y: 0.25 } }, { output: '/z', kind: undefined })).toBeNull()
  })
})

describe('the loss of one side', () => {
  const LOSSES = ['zero-one', 'brier', 'logloss', 'absolute', 'squared'] as const
  const prediction: fc.Arbitrary<Prediction> = fc.oneof(
    fc.double(),
    fc.integer({ min: 0, max: 3 }),
    fc.string(),
    fc.array(fc.double({ min: 0, max: 1 }), { maxLength: 4 }),
    fc.constant(null),
  )
  const label: fc.Arbitrary<Label> = fc.oneof(fc.double(), fc.integer({ min: 0, max: 3 }), fc.string(), fc.boolean())

  it('is the loss itself where that is bounded, else clipped and divided', () => {
    expect(boundedLoss([0.8, 0.2], 1, brier)).toBeCloseTo(0.64)
    expect(boundedLoss(1, 0, zeroOne)).toBe(1)
    expect(boundedLoss([0.5, 0.5], 1, { loss: 'logloss', clip: 2 })).toBeCloseTo(Math.LN2 / 2)
    expect(boundedLoss(10, 12, { loss: 'absolute', clip: 8 })).toBe(0.25)
    expect(boundedLoss(10, 20, { loss: 'squared', clip: 8 })).toBe(1)
  })

  it('is the greatest without a prediction that the label fits', () => {
    for (const loss of LOSSES) {
      expect(boundedLoss(null, 1, { loss, clip: 100 })).toBe(1)
      expect(boundedLoss([], 1, { loss, clip: 100 })).toBe(1)
    }
    expect(boundedLoss([0.5, 0.5], 7, brier)).toBe(1)
    expect(boundedLoss('cat', 1, { loss: 'absolute', clip: 100 })).toBe(1)
  })

  it('is undefined where the label alone is useless', () => {
    for (const y of [Number.NaN, 'maybe', 0.5, -1]) expect(boundedLoss(null, y, brier)).toBeUndefined()
    expect(boundedLoss(3, 'maybe', { loss: 'squared', clip: 1 })).toBeUndefined()
    expect(boundedLoss(3, 0.5, { loss: 'squared', clip: 100 })).toBeCloseTo(0.0625)
    expect(boundedLoss('cat', 'maybe', zeroOne)).toBe(1)
  })

  it('is undefined for the same labels whatever was predicted, or an arm could be spared', () => {
    fc.assert(
      fc.property(prediction, prediction, label, fc.constantFrom(...LOSSES), (one, other, y, loss) => {
        const spec = { loss, clip: 0.5 }
        expect(boundedLoss(one, y, spec) === undefined).toBe(boundedLoss(other, y, spec) === undefined)
      }),
    )
  })

  it('lies in [0, 1], and differs between two sides as the loss difference does', () => {
    fc.assert(
      fc.property(prediction, prediction, label, fc.constantFrom(...LOSSES), (b, c, y, loss) => {
        const spec = { loss, clip: 0.5 }
        const [left, right] = [boundedLoss(b, y, spec), boundedLoss(c, y, spec)]
        if (left === undefined || right === undefined) return
        for (const each of [left, right]) expect(each >= 0 && each <= 1).toBe(true)
        const difference = lossDifference(b, c, y, spec)
        if (difference === undefined) return
        if (loss === 'zero-one' || loss === 'brier') expect(right - left).toBe(difference)
        // Clipped one by one they are never further apart, and never the other way round.
        expect((right - left) * difference).toBeGreaterThanOrEqual(0)
        expect(Math.abs(right - left)).toBeLessThanOrEqual(Math.abs(difference) + 1e-12)
      }),
    )
  })
})
