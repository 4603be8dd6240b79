// V2's free-form "parameters": which keys are the protocol's own, which are passed on, and which ask for what is not done here.
import { UnderstudyError } from '../errors.ts'
import type { Parameters } from './codec.ts'
import { isObject, member } from './json.ts'

/** Keys of the binary tensor data extension: they say how a body is laid out and are made anew with it. */
const LAYOUT = new Set(['binary_data_size', 'binary_data', 'binary_data_output'])

/**
 * The member `parameters` of `object`; undefined: it has none.
 * @param label what it belongs to, for the message
 * @throws BAD_REQUEST
 */
export function parametersOf(object: object, label: string): Record<string, unknown> | undefined {
  const parameters = member(object, 'parameters') ?? undefined
  if (parameters === undefined) return undefined
  if (!isObject(parameters)) throw new UnderstudyError('BAD_REQUEST', `"parameters" of ${label} must be an object`)
  return parameters
}

/** As `parametersOf`, of an input or output. @throws NOT_SUPPORTED for Triton's shared memory and classification extensions */
export function tensorParametersOf(object: object, label: string): Record<string, unknown> | undefined {
  const parameters = parametersOf(object, label)
  if (parameters === undefined) return undefined
  if (member(parameters, 'shared_memory_region') !== undefined) {
    throw new UnderstudyError('NOT_SUPPORTED', `${label} is in shared memory, which is not supported`)
  }
  // Triton takes 0 for none.
  if ((member(parameters, 'classification') ?? 0) !== 0) {
    throw new UnderstudyError('NOT_SUPPORTED', `${label} asks for a classification, which is not supported`)
  }
  return parameters
}

/** A parameter that is true or false, and undefined where it is not given. @throws BAD_REQUEST */
export function flag(parameters: object | undefined, key: string, label: string): boolean | undefined {
  const value = parameters && member(parameters, key)
  if (value === undefined || typeof value === 'boolean') return value
  throw new UnderstudyError('BAD_REQUEST', `"${key}" of ${label} must be true or false`)
}

/** What is passed on, ready to be spread into its owner: nothing where nothing is left. */
export function passedOn(parameters: Parameters | undefined): { readonly parameters?: Parameters } {
  if (parameters === undefined) return {}
  const entries = Object.entries(parameters).filter(([key]) => !LAYOUT.has(key))
  return entries.length === 0 ? {} : { parameters: Object.fromEntries(entries) }
}

/** Whether an integer among them may have lost its last digits, such as a 64-bit sequence id. */
export function holdsRounded(parameters: object | undefined): boolean {
  if (parameters === undefined) return false
  return Object.values(parameters).some(
    value => typeof value === 'number' && Number.isInteger(value) && !Number.isSafeInteger(value),
  )
}

/** `,"parameters":{…}`, or nothing where there are none. BigInts are written digit by digit. */
export function parametersText(parameters: Parameters | undefined, own: Parameters = {}): string {
  const all = parameters === undefined ? own : { ...parameters, ...own }
  return Object.keys(all).length === 0 ? '' : `,"parameters":${textOf(all)}`
}

function textOf(value: unknown): string {
  if (typeof value === 'bigint') return String(value)
  if (Array.isArray(value)) return `[${value.map(textOf).join(',')}]`
  if (!isObject(value)) return JSON.stringify(value) ?? 'null'
  return `{${Object.entries(value)
    .map(([key, each]) => `${JSON.stringify(key)}:${textOf(each)}`)
    .join(',')}}`
}
