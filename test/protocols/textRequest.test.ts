import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { v2 } from '../../src/protocols/openInference.ts'
import { joinedText, type TextRequest, textRequestOf } from '../../src/protocols/textRequest.ts'
import { joined } from '../../src/shadow/batch.ts'

const LIMITS = { depth: 64, elements: 1_000_000 }
const wire = (text: string) => ({ bytes: Buffer.from(text), jsonBytes: undefined, contentType: 'application/json' })
const textOf = (json: unknown) => textRequestOf(wire(typeof json === 'string' ? json : JSON.stringify(json)), LIMITS)
const nameOf = (json: unknown) =>
  textOf(json)
    ?.inputs.map(({ name }) => name)
    .join()
const input = (data: unknown, more: object = {}) => ({ name: 'x', datatype: 'FP32', shape: [1, 2], data, ...more })

describe('a request whose numbers stay text', () => {
  it('keeps every digit that the client wrote, and its order of inputs', () => {
    const request = textOf(
      '{"id":"a","inputs":[{"name":"é","shape":[1, 2],"datatype":"FP32", "data" : [ 0.10, 2e0 ]},{"data":[18446744073709551615],"name":"n","datatype":"UINT64","shape":[1]}],"outputs":[{"name":"p"}]}',
    )!
    expect(request.inputs).toEqual([
      { name: 'é', datatype: 'FP32', shape: [1, 2], count: 2 },
      { name: 'n', datatype: 'UINT64', shape: [1], count: 1 },
    ])
    expect(request.texts.map(String)).toEqual([' 0.10, 2e0 ', '18446744073709551615'])
    expect(request.outputs?.map(({ name }) => name)).toEqual(['p'])
  })

  it('reads what stands around the numbers anew where that differs from the request before', () => {
    expect(nameOf({ inputs: [input([1, 2])] })).toBe('x')
    expect(nameOf({ inputs: [input([1, 2], { name: 'y' })] })).toBe('y')
    expect(nameOf({ inputs: [input([3, 4], { name: 'y' })] })).toBe('y')
    expect(textOf({ inputs: [input([1, 2, 3], { name: 'y' })] })).toBeUndefined()
    expect(textOf({ inputs: [input([5, 6], { name: 'y' })] })?.texts.map(String)).toEqual(['5,6'])
  })

  it.each([
    ['other numbers', '{"inputs":[{"name":"x","datatype":"FP32","shape":[1,2],"data":[3,4e1]}]}'],
    ['more numbers', '{"inputs":[{"name":"x","datatype":"FP32","shape":[1,2],"data":[3,4,5]}]}'],
    ['a text among them', '{"inputs":[{"name":"x","datatype":"FP32","shape":[1,2],"data":[3,"]}]}'],
    ['no end', '{"inputs":[{"name":"x","datatype":"FP32","shape":[1,2],"data":[3,4'],
    ['an end alone', ']}]}'],
    ['two lists of one input', '{"inputs":[{"name":"x","datatype":"FP32","shape":[1,2],"data":[3,4],"data":[5,6]}]}'],
    ['an id behind it', '{"inputs":[{"name":"x","datatype":"FP32","shape":[1,2],"data":[3,4]}],"id":"7"}'],
    ['two inputs', '{"inputs":[{"name":"x","datatype":"FP32","shape":[1,2],"data":[3,4]},{"name":"x","data":[1]}]}'],
  ])('is what it would be alone when it comes after another and has %s', (_, text) => {
    const [known, fresh] = [{ ...LIMITS }, { ...LIMITS }]
    textRequestOf(wire(JSON.stringify({ inputs: [input([1, 2])] })), known)
    textRequestOf(wire('{"inputs":[{"name":"x","datatype":"FP32","shape":[1,2],"data":[1,2]}]}'), known)
    expect(textRequestOf(wire(text), known)).toEqual(textRequestOf(wire(text), fresh))
  })

  it.each<[string, unknown]>([
    ['no inputs', { inputs: [] }],
    ['inputs that are no list', { inputs: input([1, 2]) }],
    ['no object', [input([1, 2])]],
    ['nested values', { inputs: [input([[1, 2]])] }],
    ['a null among them', { inputs: [input([1, null])] }],
    ['text', { inputs: [input(['1', '2'], { datatype: 'BYTES' })] }],
    ['true and false', { inputs: [input([true, false], { datatype: 'BOOL' })] }],
    ['numbers for BOOL', { inputs: [input([1, 0], { datatype: 'BOOL' })] }],
    ['FP16, which JSON cannot carry', { inputs: [input([1, 2], { datatype: 'FP16' })] }],
    ['an unknown datatype', { inputs: [input([1, 2], { datatype: 'FP8' })] }],
    ['too few values', { inputs: [input([1])] }],
    ['too many values', { inputs: [input([1, 2, 3])] }],
    ['a shape that is none', { inputs: [input([1, 2], { shape: [1, -2] })] }],
    ['an input without values', { inputs: [input([1, 2]), { name: 'y', datatype: 'FP32', shape: [0] }] }],
    ['parameters of the request', { inputs: [input([1, 2])], parameters: { seed: 1 } }],
    ['empty parameters', { inputs: [input([1, 2])], parameters: {} }],
    ['parameters of an input', { inputs: [input([1, 2], { parameters: { a: 1 } })] }],
    [
      'parameters of an output',
      { inputs: [input([1, 2])], outputs: [{ name: 'p', parameters: { binary_data: true } }] },
    ],
    ['an id that is none', { id: 7, inputs: [input([1, 2])] }],
    ['numbers named "data" elsewhere', { inputs: [input([1, 2])], data: [1, 2] }],
    ['the values of one input under another', { inputs: [input([1, 2], { more: { data: [1, 2] } })] }],
    ['broken JSON around them', '{"inputs":[{"name":"x","datatype":"FP32","shape":[1,2],"data":[1,2]}'],
    ['a list that does not end', '{"inputs":[{"name":"x","datatype":"FP32","shape":[1,2],"data":[1,2'],
    ['no colon', '{"inputs":[{"name":"x","datatype":"FP32","shape":[1,2],"data"[1,2]}]}'],
    ['data twice', '{"inputs":[{"name":"x","datatype":"FP32","shape":[1,2],"data":[1,2],"data":[3,4]}]}'],
    [
      'data twice, and none where the key is escaped',
      '{"inputs":[{"name":"x","datatype":"FP32","shape":[1],"data":[1],"data":[2]},{"name":"y","datatype":"FP32","shape":[0],"d\\u0061ta":[]}]}',
    ],
    [
      'data elsewhere, and a number where the key is escaped',
      '{"x":{"data":[7]},"inputs":[{"name":"y","datatype":"FP32","shape":[1],"d\\u0061ta":[0]}]}',
    ],
    [
      'inputs twice',
      '{"inputs":[{"name":"x","datatype":"FP32","shape":[1,2],"data":[1,2]}],"inputs":[{"name":"x","datatype":"FP32","shape":[1,2],"data":[1,2]}]}',
    ],
    [
      'a name that ends like the member',
      '{"inputs":[{"name":"x","datatype":"FP32","shape":[1,2],"a\\"data":[1,2],"d\\u0061ta":[3,4]}]}',
    ],
    ['nothing', ''],
  ])('is not made of a body with %s: that must be decoded', (_, json) => {
    expect(textOf(json)).toBeUndefined()
  })

  it('is not made of a body with raw tensors behind its JSON', () => {
    const body = wire(JSON.stringify({ inputs: [input([1, 2])] }))
    expect(textRequestOf({ ...body, jsonBytes: body.bytes.length }, LIMITS)).toBeUndefined()
  })

  it('is not made of a body that is mostly something else', () => {
    const text = (id: number) => JSON.stringify({ id: 'i'.repeat(id), inputs: [input([1, 2])] })
    expect(textOf(text(1_000))).toBeDefined()
    expect(textOf(text(20_000))).toBeUndefined()
    expect(textOf(JSON.stringify({ inputs: [input([1, 2])], id: 'i'.repeat(20_000) }))).toBeUndefined()
  })

  it('is not made of more elements than are allowed, nor of deeper JSON', () => {
    const text = JSON.stringify({ inputs: [input([1, 2])] })
    expect(textRequestOf(wire(text), { depth: 64, elements: 2 })).toBeDefined()
    expect(textRequestOf(wire(text), { depth: 64, elements: 1 })).toBeUndefined()
    expect(textRequestOf(wire(text), { depth: 2, elements: 2 })).toBeUndefined()
  })
})

describe('requests joined as text', () => {
  it('say what the same requests say that are decoded and joined', () => {
    const value = fc.double({ noNaN: true, noDefaultInfinity: true, min: -1e30, max: 1e30 })
    const integer = fc.maxSafeInteger()
    const row = fc.tuple(fc.tuple(value, value), integer)
    const requests = fc.array(fc.array(row, { minLength: 1, maxLength: 3 }), { minLength: 1, maxLength: 5 })
    fc.assert(
      fc.property(requests, fc.option(fc.constantFrom('p', 'label "1"'), { nil: undefined }), (all, output) => {
        const bodies = all.map(rows =>
          JSON.stringify({
            inputs: [
              { name: 'x', datatype: 'FP64', shape: [rows.length, 2], data: rows.flatMap(([pair]) => pair) },
              { name: 'n "1"', datatype: 'INT64', shape: [rows.length], data: rows.map(([, each]) => each) },
            ],
            ...(output !== undefined && { outputs: [{ name: output }] }),
          }),
        )
        const texts = bodies.map(body => textOf(body)!)
        const decoded = bodies.map(body => v2.decodeRequest(wire(body), LIMITS, undefined))
        const together = v2.decodeRequest({ ...wire(''), bytes: joinedText(texts) }, LIMITS, undefined)
        expect(together).toEqual(joined(decoded))
      }),
    )
  })

  it('are an empty body where there are none', () => {
    expect(joinedText([] as TextRequest[])).toHaveLength(0)
  })
})
