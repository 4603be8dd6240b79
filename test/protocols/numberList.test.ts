import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { numbersIn } from '../../src/protocols/numberList.ts'

const count = (text: string) => {
  // Something before and behind it, which must not be looked at.
  const bytes = Buffer.from(`[${text}]`)
  return numbersIn(bytes, 1, bytes.length - 1)
}

/** What JSON.parse says of the same list. */
function parsed(text: string): number {
  try {
    const values = JSON.parse(`[${text}]`) as unknown[]
    return values.every(value => typeof value === 'number') ? values.length : -1
  } catch {
    return -1
  }
}

describe('numbers in a JSON list', () => {
  it.each([
    ['', 0],
    ['  \t\r\n', 0],
    ['0', 1],
    ['-0', 1],
    [' 1 , 2 ', 2],
    ['1.5e-3,2E+10,0.0', 3],
    ['-12.250', 1],
    ['1e5', 1],
    ['0e0', 1],
    ['12345678901234567890', 1],
  ])('are counted in [%s]', (text, numbers) => {
    expect(count(text)).toBe(numbers)
    expect(parsed(text)).toBe(numbers)
  })

  it.each([
    '01',
    '-',
    '+1',
    '.5',
    '1.',
    '1e',
    '1e+',
    '1.e3',
    ',',
    '1,',
    ',1',
    '1,,2',
    '1 2',
    '- 1',
    '1. 5',
    '0x10',
    'NaN',
    'Infinity',
    'null',
    'true',
    '"1"',
    '[1]',
    '{}',
    '1\u00a0',
    '1\0',
    '1_000',
    '1n',
    '--1',
    '1-2',
    '1e5.5',
    '00',
  ])('are not there in [%s]', text => {
    expect(count(text)).toBe(-1)
    expect(parsed(text)).toBe(-1)
  })

  it('end at every byte that is no digit, wherever among the digits behind a point it stands', () => {
    for (let at = 0; at < 9; at++) {
      for (let byte = 0; byte < 256; byte++) {
        const bytes = Buffer.from('0.123456789')
        bytes[at + 2] = byte
        const text = bytes.toString('latin1')
        expect(numbersIn(bytes, 0, bytes.length), text).toBe(parsed(text))
      }
    }
  })

  it('are those that JSON.parse finds, whatever stands there', () => {
    const text = fc.string({ unit: fc.constantFrom(...'0123456789.-+eE, \n'.split('')), maxLength: 12 })
    fc.assert(
      fc.property(text, list => {
        expect(count(list)).toBe(parsed(list))
      }),
      { numRuns: 20_000 },
    )
  })

  it('are as many as were written, however they are spaced', () => {
    const numbers = fc.array(fc.double({ noNaN: true, noDefaultInfinity: true }), { maxLength: 40 })
    fc.assert(
      fc.property(numbers, fc.constantFrom(',', ' , ', ',\n'), (values, comma) => {
        expect(count(values.map(value => JSON.stringify(value)).join(comma))).toBe(values.length)
      }),
    )
  })
})
