import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { DecodeLimits } from '../../src/protocols/codec.ts'
import { KnownMessages } from '../../src/protocols/knownMessages.ts'
import { v2 } from '../../src/protocols/openInference.ts'
import type { Tensor } from '../../src/protocols/tensor.ts'

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

/** The same of requests. */
function asked(text: string, limits: DecodeLimits): unknown {
  try {
    return v2.decodeRequest(body(text), limits, undefined)
  } catch (error) {
    return String(error)
  }
}

const request = (...inputs: string[]) => `{"inputs":[${inputs.join(',')}],"outputs":[{"name":"p"}]}`
const row = (origin: string, carrier: string, distance: string) =>
  request(
    output('origin', 'BYTES', 1, origin),
    output('carrier', 'BYTES', 1, carrier),
    output('distance', 'FP32', 1, distance),
  )

const ROW = row('["JFK"]', '["AA"]', '[2475.5]')

describe('a request like one before', () => {
  it.each([
    ['other values', row('["LAX"]', '["DL"]', '[1]')],
    ['a text with a bracket', row('["]"]', '["AA"]', '[1]')],
    ['texts whose brackets could pair up', row('["a]', '["b"]', '[1]')],
    ['a text that goes on in the next list', row('["]', '["]', '[1]')],
    ['a text that would end the list behind it', row('["],["]', '[","]', '[1]')],
    ['an escaped text', row('["\\"\\u00e9\\n"]', '["\\\\"]', '[1]')],
    ['a text beyond ASCII', row('["Zürich"]', '["東"]', '[1]')],
    ['half a surrogate', row('["\\ud800"]', '["AA"]', '[1]')],
    ['a text with a NUL', row('["\\u0000"]', '["AA"]', '[1]')],
    ['a bare control character', row('["\u0001"]', '["AA"]', '[1]')],
    ['a number for a text', row('[1]', '["AA"]', '[1]')],
    ['a text for a number', row('["JFK"]', '["AA"]', '["1"]')],
    ['null', row('["JFK"]', '["AA"]', '[null]')],
    ['a number that FP32 does not hold', row('["JFK"]', '["AA"]', '[1e39]')],
    ['a nested list', row('["JFK"]', '["AA"]', '[[1]]')],
    ['two values for one', row('["JFK"]', '["AA"]', '[1,2]')],
    ['no value', row('[]', '["AA"]', '[1]')],
    ['another output', ROW.replace('"p"', '"q"')],
    ['an id', `{"id":"7",${ROW.slice(1)}`],
    ['parameters', `{"parameters":{"binary_data_output":true},${ROW.slice(1)}`],
    ['more behind it', `${ROW} x`],
    ['less of it', ROW.slice(0, -1)],
  ])('with %s is what it would be without it', (_, text) => {
    const limits = newLimits()
    for (let time = 0; time < 3; time++) asked(ROW, limits)
    const expected = asked(text, newLimits())
    for (let time = 0; time < 3; time++) expect(asked(text, limits)).toEqual(expected)
    expect(asked(ROW, limits)).toEqual(asked(ROW, newLimits()))
  })

  it.each([
    ['parameters of an input', (a: string) => request(output('x', 'FP32', 1, `[${a}]`, ',"parameters":{"unit":"km"}'))],
    ['parameters of an output', (a: string) => ROW.replace('"p"', '"p","parameters":{"k":1}').replace('2475.5', a)],
    ['parameters of its own', (a: string) => `{"parameters":{"k":[1]},${row('["JFK"]', '["AA"]', `[${a}]`).slice(1)}`],
    ['an input of no values', (a: string) => request(output('x', 'FP32', 0, '[]'), output('y', 'FP32', 1, `[${a}]`))],
    ['lists elsewhere', (a: string) => `{"x":[{"data":[${a}]}],${row('["JFK"]', '["AA"]', `[${a}]`).slice(1)}`],
    ['no input that is a list', () => request(output('x', 'FP32', 1, '{}'))],
    ['no inputs', () => request()],
  ])('with %s is what it would be without it, again and again', (_, write) => {
    const limits = newLimits()
    for (const number of ['1', '2', '3', '40', '5'])
      expect(asked(write(number), limits)).toEqual(asked(write(number), newLimits()))
  })

  it('with bytes that are no UTF-8 is refused as without it', () => {
    const [before, behind] = ROW.split('JFK') as [string, string]
    const broken = Buffer.concat([Buffer.from(before), Buffer.from([0xc3]), Buffer.from(behind)])
    const limits = newLimits()
    for (let time = 0; time < 3; time++) asked(ROW, limits)
    expect(() => v2.decodeRequest({ ...body(''), bytes: broken }, limits, undefined)).toThrow('not valid UTF-8')
  })

  it('and an answer of the same shape are not taken for each other', () => {
    const limits = newLimits()
    const both = (key: string) => `{"${key}":[${output('p', 'FP32', 1, '[1]')}]}`
    for (let time = 0; time < 3; time++) {
      expect(asked(both('inputs'), limits)).toEqual(asked(both('inputs'), newLimits()))
      expect(asked(both('outputs'), limits)).toEqual(asked(both('outputs'), newLimits()))
      expect(outcome(both('outputs'), limits)).toEqual(outcome(both('outputs'), newLimits()))
    }
  })

  // An empty list under an escaped key would make up for one that is the data of no input.
  const EMPTY = '{"name":"b","datatype":"FP32","shape":[0],"d\\u0061ta":[]}'
  it.each([
    ['told twice', (a: string) => `{"inputs":[${output('a', 'FP32', 1, '[1]', `,"data":${a}`)},${EMPTY}]}`],
    ['among parameters', (a: string) => `{"parameters":{"data":${a}},"inputs":[${EMPTY}]}`],
    [
      'among an output’s parameters',
      (a: string) => `{"inputs":[${EMPTY}],"outputs":[{"name":"p","parameters":{"data":${a}}}]}`,
    ],
    [
      'elsewhere and the number that stands for it',
      (a: string) =>
        `{"parameters":{"data":${a}},"inputs":[{"name":"b","datatype":"FP32","shape":[1],"d\\u0061ta":[0]}]}`,
    ],
    ['in the other order', (a: string) => `{"x":{"data":${a}},"inputs":[${EMPTY}]}`],
  ])('with a list %s beside one whose key is escaped is what it would be without it', (_, write) => {
    const limits = newLimits()
    for (const list of ['[2]', '[2]', '[]', '[0]', '[1]', '["secret"]'])
      expect(asked(write(list), limits)).toEqual(asked(write(list), newLimits()))
  })

  it('has values of its own', () => {
    const limits = newLimits()
    const decoded = [1, 2, 3].map(() => v2.decodeRequest(body(ROW), limits, undefined))
    ;(decoded[1]!.inputs[2]!.data as Float32Array)[0] = 7
    ;(decoded[1]!.inputs as unknown[]).pop()
    expect(decoded[2]).toEqual(decoded[0])
    expect(v2.decodeRequest(body(ROW), limits, undefined)).toEqual(decoded[0])
  })

  it('is what it would be without it, whatever its values are (property)', () => {
    const limits = newLimits()
    const value = fc.oneof(
      fc.integer(),
      fc.double(),
      fc.string(),
      fc.string({ unit: fc.constantFrom(']', '[', '"', '\\', ',', 'é', 'a') }),
      fc.constant(null),
    )
    const list = fc.oneof(
      fc.array(value, { maxLength: 2 }).map(values => JSON.stringify(values)),
      fc.string({ unit: fc.constantFrom(']', '[', '"', ',', '1', 'a') }).map(text => `[${text}]`),
    )
    fc.assert(
      fc.property(list, list, list, (origin, carrier, distance) => {
        const text = row(origin, carrier, distance)
        expect(asked(text, limits)).toEqual(asked(text, newLimits()))
        // Or it would be given up soon.
        asked(ROW, limits)
      }),
      { numRuns: 2_000 },
    )
  })
})

describe('what is known', () => {
  interface Message {
    readonly inputs: readonly Tensor[]
    readonly from: string
  }

  function parts() {
    const known = new KnownMessages<'inputs', Message>('inputs', (message, inputs) => ({ ...message, inputs }))
    const limits: DecodeLimits = { depth: 8, elements: 1e6 }
    const bytesOf = (name: string, text: string) => Buffer.from(request(output(name, 'BYTES', 1, `["${text}"]`)))
    const messageOf = (name: string, text: string): Message => ({
      inputs: [{ name, datatype: 'BYTES', shape: [1], data: [text] }],
      from: name,
    })
    const decode = (name: string, text: string) => {
      let said = 'known'
      const message = known.decode(bytesOf(name, text), limits, () => {
        said = 'decoded'
        return messageOf(name, text)
      })
      expect(message).toEqual(messageOf(name, text))
      return said
    }
    return { known, limits, bytesOf, decode }
  }

  const memory = () => parts().decode

  it('are the last four that came, with all but their values', () => {
    const decode = memory()
    for (const name of ['a', 'b', 'c', 'd', 'e']) decode(name, 'x')
    for (const name of ['b', 'c', 'd', 'e']) expect(decode(name, 'y')).toBe('known')
    expect(decode('a', 'y')).toBe('decoded')
  })

  it('stays known when a message like it is refused', () => {
    const { known, limits, bytesOf, decode } = parts()
    decode('a', 'x')
    const refused = () =>
      known.decode(bytesOf('a', 'é'), limits, () => {
        throw new Error('refused')
      })
    for (let time = 0; time < 3; time++) expect(refused).toThrow('refused')
    expect(decode('a', 'y')).toBe('known')
  })

  it('has no values of the message that it was learnt from', async () => {
    const { known, limits, bytesOf } = parts()
    const learn = () => {
      const data = ['x'.repeat(10)]
      known.decode(bytesOf('a', data[0]!), limits, () => ({
        inputs: [{ name: 'a', datatype: 'BYTES', shape: [1], data }],
        from: 'a',
      }))
      return new WeakRef(data)
    }
    const learnt = learn()
    setFlagsFromString('--expose-gc')
    const collect = runInNewContext('gc') as () => void
    await new Promise(resolve => setTimeout(resolve))
    collect()
    expect(learnt.deref()).toBeUndefined()
    expect(known.decode(bytesOf('a', 'y'), limits, () => expect.unreachable()).from).toBe('a')
  })

  it('stays known when a message like it has values that must be decoded', () => {
    const decode = memory()
    for (const name of ['a', 'b', 'c', 'd']) decode(name, 'x')
    for (let time = 0; time < 3; time++) expect(decode('a', 'é')).toBe('decoded')
    for (const name of ['a', 'b', 'c', 'd']) expect(decode(name, 'y')).toBe('known')
    decode('a', 'é')
    expect([decode('e', 'x'), decode('e', 'y')]).toEqual(['decoded', 'known'])
  })

  it('stays known where every other message is another', () => {
    const decode = memory()
    decode('a', 'x')
    for (let index = 0; index < 30; index++) {
      decode(`other ${index}`, 'x')
      expect(decode('a', 'x')).toBe('known')
    }
  })

  it('is seldom looked at where nearly every message is another, and again when they are alike', () => {
    const decode = memory()
    decode('a', 'x')
    for (let index = 0; index < 20; index++) decode(`other ${index}`, 'x')
    const first = Array.from({ length: 200 }, () => decode('a', 'x')).indexOf('known')
    expect(first).toBeGreaterThan(40)
    expect(first).toBeLessThan(130)
    expect(Array.from({ length: 20 }, () => decode('a', 'x'))).not.toContain('decoded')
  })

  it('has a bound: nothing is kept of a long message, or of one that is long around its values', () => {
    const decode = memory()
    for (const [name, text] of [
      ['a', 'x'.repeat(70_000)],
      ['b'.repeat(20_000), 'x'],
    ] as const) {
      decode(name, text)
      expect(decode(name, text)).toBe('decoded')
    }
    decode('c', 'x'.repeat(30_000))
    expect(decode('c', 'x')).toBe('known')
  })
})
