// What a V2 server's model metadata says of a model's tensors. Believes a whole signature or none.
import type { DecodeLimits, Signature } from './codec.ts'
import { isObject, member, parseJson } from './json.ts'
import { DATATYPES, type TensorShape } from './tensor.ts'

/**
 * The signature in `{inputs: [{name, datatype, shape}], outputs: […]}`; undefined when either list is missing, empty (as of
 * servers that do not know their model) or holds something that is no tensor of ours, or one name twice.
 */
export function decodeServerMetadata(body: Uint8Array, limits: DecodeLimits): Signature | undefined {
  let json: unknown
  try {
    json = parseJson(body, limits.depth)
  } catch {
    return undefined
  }
  if (!isObject(json)) return undefined
  const inputs = shapesOf(member(json, 'inputs'))
  const outputs = shapesOf(member(json, 'outputs'))
  return inputs && outputs && { inputs, outputs }
}

function shapesOf(list: unknown): readonly TensorShape[] | undefined {
  if (!Array.isArray(list) || list.length === 0) return undefined
  const shapes = list.flatMap(each => shapeOf(each) ?? [])
  const names = new Set(shapes.map(({ name }) => name))
  return names.size === list.length ? shapes : undefined
}

function shapeOf(raw: unknown): TensorShape | undefined {
  if (!isObject(raw)) return undefined
  const name = member(raw, 'name')
  const datatype = DATATYPES.find(known => known === member(raw, 'datatype'))
  const shape = member(raw, 'shape')
  if (typeof name !== 'string' || name === '' || datatype === undefined || !Array.isArray(shape)) return undefined
  return shape.every(isDimension) ? { name, datatype, shape: [...shape] } : undefined
}

function isDimension(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= -1
}
