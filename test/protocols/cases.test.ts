import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import type { Codec, InferRequest, Signature } from '../../src/protocols/codec.ts'
import { mlflow } from '../../src/protocols/mlflow.ts'
import { v1 } from '../../src/protocols/tensorflow.ts'

interface Case {
  readonly name: string
  readonly body: string
  readonly contentType?: string
  /** A key of `models`; without it the signature is not known. */
  readonly model?: string
}

interface Cases {
  readonly models: Readonly<Record<string, Signature>>
  readonly refused: readonly (Case & { readonly code: string; readonly message: string })[]
  /** 64-bit integers are strings of their digits. */
  readonly accepted: readonly (Case & {
    readonly inputs: readonly unknown[]
    readonly columnar?: boolean
    readonly parameters?: unknown
  })[]
}

describe.each([v1, mlflow])('requests of $protocol', codec => {
  const file = new URL(`../cases/protocol-${codec.protocol}.json`, import.meta.url)
  const { models, refused, accepted } = JSON.parse(readFileSync(file, 'utf8')) as Cases

  it.each(refused.map(each => [each.name, each] as const))('refuses %s', (_, each) => {
    const { code, message } = each
    expect(() => decode(codec, each, models)).toThrow(
      expect.objectContaining({ code, message: expect.stringContaining(message) }),
    )
  })

  it.each(accepted.map(each => [each.name, each] as const))('takes %s', (_, each) => {
    const request = decode(codec, each, models)
    const inputs = request.inputs.map(({ data, ...tensor }) => ({
      ...tensor,
      data: [...data].map(value => (typeof value === 'bigint' ? String(value) : value)),
    }))
    expect(inputs).toEqual(each.inputs)
    expect(request.columnar).toBe(each.columnar ?? false)
    expect(request.parameters).toEqual(each.parameters)
  })
})

function decode(codec: Codec, each: Case, models: Cases['models']): InferRequest {
  const body = {
    bytes: Buffer.from(each.body),
    jsonBytes: undefined,
    contentType: each.contentType ?? 'application/json',
  }
  return codec.decodeRequest(
    body,
    { depth: 32, elements: 1000 },
    each.model === undefined ? undefined : models[each.model],
  )
}
