// Bodies that a real client made, so that the codec is not only consistent with itself.
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { v2 } from '../../src/protocols/openInference.ts'
import type { Datatype, Tensor } from '../../src/protocols/tensor.ts'

interface Recorded {
  readonly title: string
  /** What the client sends as Inference-Header-Content-Length; null: no such field. */
  readonly jsonBytes: number | null
  readonly base64: string
  readonly inputs: readonly {
    readonly name: string
    readonly datatype: Datatype
    readonly shape: readonly number[]
    readonly data: readonly (number | string)[]
  }[]
}
const { requests, answers } = JSON.parse(
  readFileSync(new URL('../cases/v2-tritonclient.json', import.meta.url), 'utf8'),
) as {
  readonly requests: readonly Recorded[]
  readonly answers: {
    readonly binary: { readonly jsonBytes: number; readonly base64: string }
    readonly json: { readonly base64: string }
  }
}

const limits = { depth: 64, elements: 1_000_000 }
const decode = ({ jsonBytes, base64 }: Recorded) =>
  v2.decodeRequest(
    { bytes: Buffer.from(base64, 'base64'), jsonBytes: jsonBytes ?? undefined, contentType: '' },
    limits,
    undefined,
  )
/** As the recording writes values: 64-bit integers as text. */
const recorded = ({ name, datatype, shape, data }: Tensor) => ({
  name,
  datatype,
  shape,
  data: Array.from(data as ArrayLike<number | bigint | string>, value =>
    typeof value === 'bigint' ? String(value) : value,
  ),
})
const called = (title: string) => requests.find(each => each.title.startsWith(title))!

describe('a request of tritonclient', () => {
  it.each(requests)('is read as its author meant it: $title', request => {
    expect(decode(request).inputs.map(recorded)).toEqual(request.inputs)
  })

  it('that asks for no output wants all of them as binary data', () => {
    expect(decode(called('floats'))).toMatchObject({ outputs: undefined, binaryOutputs: true })
  })

  it('says for each output whether it is to be binary', () => {
    expect(decode(called('one input in JSON'))).toMatchObject({
      outputs: [
        { name: 'y', binary: false },
        { name: 'z', binary: true },
      ],
      binaryOutputs: false,
    })
  })

  it('keeps its own parameters, a 64-bit sequence id to the last digit, and none of those about its layout', () => {
    const request = decode(called('a sequence'))
    expect(request.parameters).toEqual({
      sequence_id: 2n ** 63n + 1n,
      sequence_start: true,
      sequence_end: false,
      priority: 3,
      timeout: 1000,
      tenant: 'blue',
      trial: true,
    })
    expect(request.inputs[0]).not.toHaveProperty('parameters')
    expect(v2.encodeRequest(request).body).toContain('"sequence_id":9223372036854775809,')
  })
})

describe('an answer that tritonclient was seen to read', () => {
  const outputs: readonly Tensor[] = [
    { name: 'größe', datatype: 'FP32', shape: [2, 2], data: Float32Array.of(0.5, Number.NaN, Infinity, -0) },
    { name: 'half', datatype: 'FP16', shape: [2], data: Float16Array.of(1.5, -65_504) },
    { name: 'label', datatype: 'BYTES', shape: [3], data: ['naïve', '', '日本👩‍🚀'] },
    { name: 'big', datatype: 'INT64', shape: [2], data: BigInt64Array.of(-(2n ** 63n), 2n ** 63n - 1n) },
    { name: 'json', datatype: 'INT64', shape: [1], data: BigInt64Array.of(9_007_199_254_740_993n) },
    { name: 'flags', datatype: 'BOOL', shape: [3], data: Uint8Array.of(1, 0, 1) },
    { name: 'none', datatype: 'FP64', shape: [0, 3], data: new Float64Array() },
    { name: 'scalar', datatype: 'UINT16', shape: [], data: Uint16Array.of(65_535) },
  ]
  const base = { id: '7', inputs: [], columnar: false }
  const response = { modelName: 'm', modelVersion: '1.0.0', id: '7' }
  const base64 = (body: string | Buffer) => Buffer.from(body).toString('base64')

  it('is still written so, raw outputs around one in JSON', () => {
    const asked = outputs.map(({ name }) => ({ name, binary: name === 'json' ? false : undefined }))
    const { body, jsonBytes } = v2.encodeResponse(
      { ...response, outputs },
      { ...base, outputs: asked, binaryOutputs: true },
    )
    expect({ base64: base64(body), jsonBytes }).toEqual(answers.binary)
  })

  it('is still written so, all in JSON', () => {
    const inJson = outputs.filter(({ datatype }) => datatype !== 'FP16')
    const { body } = v2.encodeResponse(
      { ...response, outputs: inJson },
      { ...base, outputs: undefined, binaryOutputs: false },
    )
    expect({ base64: base64(body) }).toEqual(answers.json)
  })
})
