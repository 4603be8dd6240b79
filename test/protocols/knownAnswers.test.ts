import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { DecodeLimits } from '../../src/protocols/codec.ts'
import { v2 } from '../../src/protocols/openInference.ts'

const newLimits = (): DecodeLimits => ({ depth: 8, elements: 100 })
const body = (text: string) => ({ bytes: Buffer.from(text), jsonBytes: undefined, contentType: '' })

/** What decoding gives where nothing is known yet, or the error that it ends with. */
function outcome(text: string, limits: DecodeLimits): unknown {
  try {
    return v2.decodeResponse(body(text), limits)
  } catch (error) {
    return String(error)
  }
}

const output = (name: string, datatype: string, count: number, data: string, more = '') =>
  `{"name":"${name}","datatype":"${datatype}","shape":[${count}],"data":${data}${more}}`
const answer = (...outputs: string[]) => `{"model_name":"m","model_version":"1.0.0","outputs":[${outputs.join(',')}]}`

const USUAL = answer(output('label', 'INT64', 1, '[1]'), output('p', 'FP32', 2, '[0.25,0.75]'))

describe('an answer like one before', () => {
  it.each([
    ['other numbers', answer(output('label', 'INT64', 1, '[0]'), output('p', 'FP32', 2, '[0.1, 9e-1 ]'))],
    ['a null', answer(output('label', 'INT64', 1, '[0]'), output('p', 'FP32', 2, '[null,-0]'))],
    [
      'an integer that needs all its digits',
      answer(output('label', 'INT64', 1, '[9007199254740993]'), output('p', 'FP32', 2, '[1,2]')),
    ],
    [
      'an integer out of range',
      answer(output('label', 'INT64', 1, '[9223372036854775808]'), output('p', 'FP32', 2, '[1,2]')),
    ],
    ['a fraction for an integer', answer(output('label', 'INT64', 1, '[0.5]'), output('p', 'FP32', 2, '[1,2]'))],
    ['a number beyond all', answer(output('label', 'INT64', 1, '[0]'), output('p', 'FP32', 2, '[1e999,2]'))],
    ['too few numbers', answer(output('label', 'INT64', 1, '[0]'), output('p', 'FP32', 2, '[1]'))],
    ['nested lists', answer(output('label', 'INT64', 1, '[0]'), output('p', 'FP32', 2, '[[1,2]]'))],
    ['texts', answer(output('label', 'INT64', 1, '["]"]'), output('p', 'FP32', 2, '["a","b"]'))],
    ['an object', answer(output('label', 'INT64', 1, '[{}]'), output('p', 'FP32', 2, '[1,2]'))],
    ['no number', answer(output('label', 'INT64', 1, '[01]'), output('p', 'FP32', 2, '[1,2]'))],
    ['a list that does not end', USUAL.slice(0, -5)],
    ['more behind it', `${USUAL} x`],
    ['blanks behind it', `${USUAL}\n`],
    ['another version', USUAL.replace('1.0.0', '1.0.1')],
    ['another shape', answer(output('label', 'INT64', 1, '[1]'), output('p', 'FP32', 3, '[1,2,3]'))],
    [
      'its numbers told twice',
      answer(output('label', 'INT64', 1, '[1]'), output('p', 'FP32', 2, '[1,2]', ',"data":[3,4]')),
    ],
  ])('with %s is what it would be without it', (_, text) => {
    const limits = newLimits()
    for (let time = 0; time < 3; time++) v2.decodeResponse(body(USUAL), limits)
    const expected = outcome(text, newLimits())
    expect(outcome(text, limits)).toEqual(expected)
    expect(outcome(text, limits)).toEqual(expected)
    expect(outcome(USUAL, limits)).toEqual(outcome(USUAL, newLimits()))
  })

  it.each([
    [
      'lists of that name elsewhere',
      (a: string) => `{"x":{"data":[${a}]},${answer(output('p', 'FP32', 1, `[${a}]`)).slice(1)}`,
    ],
    [
      'a list in the place of one whose key is escaped',
      (a: string) => `{"x":{"data":[${a}]},"outputs":[{"name":"a","datatype":"FP32","shape":[1],"d\\u0061ta":[${a}]}]}`,
    ],
    ['two lists of one output', (a: string) => answer(output('p', 'FP32', 1, `[${a}]`, `,"data":[${a}1]`))],
    [
      'outputs told twice',
      (a: string) =>
        `{"outputs":[${output('p', 'FP32', 1, `[${a}]`)}],"outputs":[${output('q', 'FP32', 1, `[1${a}]`)}]}`,
    ],
    ['parameters', (a: string) => answer(output('p', 'FP32', 1, `[${a}]`, `,"parameters":{"data":[${a}]}`))],
    [
      'an output of texts',
      (a: string) => answer(output('p', 'FP32', 1, `[${a}]`), output('t', 'BYTES', 1, `["é${a}"]`)),
    ],
    ['an id of its own', (a: string) => `{"id":"${a}",${answer(output('p', 'FP32', 1, `[${a}]`)).slice(1)}`],
    ['no values', () => answer(output('p', 'FP32', 0, '[]'))],
    ['a name beyond ASCII', (a: string) => answer(output('größe', 'FP64', 1, `[${a}]`))],
  ])('with %s is what it would be without it', (_, write) => {
    const limits = newLimits()
    for (const number of ['1', '2', '3', '40', '5']) {
      expect(outcome(write(number), limits)).toEqual(outcome(write(number), newLimits()))
    }
  })

  it('is what it would be without it, whatever its numbers are (property)', () => {
    const limits = newLimits()
    const shape = fc.constantFrom('FP32', 'FP64', 'INT64', 'UINT64', 'INT8', 'UINT32', 'BOOL')
    const value = fc.oneof(
      fc.integer(),
      fc.double(),
      fc.bigInt({ min: -(2n ** 70n), max: 2n ** 70n }),
      fc.boolean(),
      fc.string(),
    )
    const text = fc.tuple(shape, fc.array(value, { maxLength: 3 })).map(([datatype, values]) => {
      const data = values.map(each => (typeof each === 'bigint' ? String(each) : JSON.stringify(each)))
      return answer(output('p', datatype, 2, `[${data.join(',')}]`), output('q', 'FP32', 1, '[1]'))
    })
    fc.assert(
      fc.property(text, each => {
        expect(outcome(each, limits)).toEqual(outcome(each, newLimits()))
      }),
    )
  })
})
