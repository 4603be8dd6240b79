import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { lengthIn } from '../../src/scoring/exchange.ts'

describe('the value of a Content-Length', () => {
  test.each([[undefined], [''], ['-1'], ['+1'], ['1e3'], ['0x10'], ['1,1'], ['١'], [['1', '1']]])(
    '%j is none, so that no limit takes it for one',
    field => expect(lengthIn(field)).toBeNaN(),
  )

  test('digits are read as Number reads them, however many', () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[0-9]{1,400}$/), digits => {
        const read = Number(digits)
        const near = lengthIn(digits)
        if (read <= Number.MAX_SAFE_INTEGER) expect(near).toBe(read)
        else if (read === Number.POSITIVE_INFINITY) expect(near).toBe(read)
        else expect(near / read).toBeCloseTo(1, 9)
      }),
    )
  })
})
