import { describe, expect, it } from 'vitest'
import { differenceScale } from '../../src/evidence/scale.ts'

describe('the scale of signed differences', () => {
  it.each([
    ['is ten times the limit', { difference: 0.02 }, { absolute: 5 }, 0.2],
    ['is ten times the absolute tolerance without a limit', {}, { absolute: 0.05 }, 0.5],
    ['is undefined without either', {}, {}, undefined],
    ['is undefined for an exact tolerance', {}, { absolute: 0 }, undefined],
    ['is undefined where ten times the limit is no number', { difference: 1e308 }, {}, undefined],
  ])('%s', (_, gate, tolerance, scale) => {
    const found = differenceScale(gate, tolerance)
    if (scale === undefined) expect(found).toBeUndefined()
    else expect(found).toBeCloseTo(scale, 12)
  })
})
