// Decides which requests go together, and joins them into one. Pure.
import type { InferRequest } from '../protocols/codec.ts'
import { joinInputs } from '../protocols/rows.ts'
import type { Tensor } from '../protocols/tensor.ts'

/** What of a request decides with which others it goes. */
export interface Batchable extends Pick<InferRequest, 'outputs' | 'parameters'> {
  readonly inputs: readonly Pick<Tensor, 'name' | 'datatype' | 'shape' | 'parameters'>[]
  /** Its numbers are text still, and join text only. */
  readonly texts?: readonly Uint8Array[]
}

/**
 * Rows of a request: the first dimension that all its inputs share; undefined when they share none, and where parameters
 * may mean something for this request alone.
 */
export function rowsOf({ inputs, outputs, parameters }: Batchable): number | undefined {
  const hasParameters = (each: { readonly parameters?: object }) => each.parameters !== undefined
  if (parameters !== undefined || inputs.some(hasParameters) || outputs?.some(hasParameters)) return undefined
  const rows = inputs[0]?.shape[0]
  if (rows === undefined || rows === 0) return undefined
  return inputs.every(input => input.shape[0] === rows) ? rows : undefined
}

/** Whether two requests may go together: equal names, datatypes, all dimensions but the first, and wanted outputs. */
export function goTogether(a: Batchable, b: Batchable): boolean {
  if ((a.texts === undefined) !== (b.texts === undefined)) return false
  // What is read once for all requests that differ in their numbers alone.
  if (a.inputs === b.inputs && a.outputs === b.outputs) return true
  return haveEqual(a.inputs, b.inputs, isAlike) && haveEqual(a.outputs ?? [], b.outputs ?? [], hasName)
}

function haveEqual<T>(a: readonly T[], b: readonly T[], isEqual: (one: T, other: T) => boolean): boolean {
  return a.length === b.length && a.every((each, index) => isEqual(each, b[index]!))
}

function isAlike(a: Batchable['inputs'][number], b: Batchable['inputs'][number]): boolean {
  if (a.name !== b.name || a.datatype !== b.datatype || a.shape.length !== b.shape.length) return false
  return a.shape.every((dimension, axis) => axis === 0 || dimension === b.shape[axis])
}

function hasName(a: { readonly name: string }, b: { readonly name: string }): boolean {
  return a.name === b.name
}

/** Several requests as one. All must go together. */
export function joined<T extends Pick<InferRequest, 'inputs'>>(requests: readonly T[]): T {
  return { ...requests[0]!, inputs: joinInputs(requests.map(({ inputs }) => inputs)) }
}
