import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { shortNumber } from '../../src/evidence/shortNumber.ts'

describe('six significant digits', () => {
  const expectSame = (value: number): void => {
    expect(shortNumber(value)).toBe(Number(value.toPrecision(6)))
  }

  it.each([
    0,
    -0,
    1,
    -1,
    0.5,
    0.1,
    0.18230406939983368,
    999999.5,
    999999.4999,
    99999.95,
    0.99999949999,
    0.9999995,
    1.0000005,
    123456.5,
    -123456.5,
    0.1234565,
    1e-9,
    9.99999999e-10,
    1e5,
    1e6,
    1e21,
    5e-324,
    Number.MAX_VALUE,
    100000.5,
  ])('of %s are those of its text', expectSame)

  it('are those of the text, whatever the number is (property)', () => {
    fc.assert(fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), expectSame), { numRuns: 2_000 })
    fc.assert(fc.property(fc.double({ min: -2, max: 2, noNaN: true }), expectSame), { numRuns: 2_000 })
    fc.assert(fc.property(fc.float({ min: 0, max: 1, noNaN: true }), expectSame), { numRuns: 2_000 })
  })

  it('are those of the text next to a tie (property)', () => {
    const tie = fc.tuple(fc.integer({ min: 100_000, max: 999_999 }), fc.integer({ min: -10, max: 3 }), fc.nat(4))
    fc.assert(
      fc.property(tie, ([digits, power, off]) => {
        const value = Number(`${digits}.5e${power}`)
        expectSame(value + (off - 2) * value * Number.EPSILON)
      }),
      { numRuns: 5_000 },
    )
  })
})
