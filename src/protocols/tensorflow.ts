// The predict API of TensorFlow Serving, which KServe calls its protocol V1: bytes ↔ tensors. Knows no version and no network.
// Wire format: tensorflow/serving, g3doc/api_rest.md and util/json_tensor.cc; KServe, "Data Plane (V1)".
import { UnderstudyError } from '../errors.ts'
import type { Codec, DecodeLimits, EncodedBody, InferRequest, InferResponse, Signature, WireBody } from './codec.ts'
import { readNumbers } from './digits.ts'
import { isObject, member } from './json.ts'
import { columnsOf, type Naming, namedTensors, unnamedTensor } from './named.ts'
import { tensorText, type Writing } from './nested.ts'
import { ANSWER, decodePredictions, objectText, recordsText } from './predictions.ts'
import type { Tensor } from './tensor.ts'
import { decodeSignatureDef } from './tensorflowMetadata.ts'
import { base64Text } from './values.ts'

/**
 * TensorFlow Serving REST and KServe V1. Requests are `instances` (row by row) or `inputs` (column by column); answers
 * `predictions` or `outputs`. A single output is unnamed on the wire and is called `predictions`. A signature name other
 * than the default travels as the parameter `signature_name`.
 */
export const v1: Codec = {
  protocol: 'v1',
  decodeRequest,
  encodeRequest,
  decodeResponse: (body, limits) => decodePredictions(body, ['predictions', 'outputs'], limits, true),
  encodeResponse,
  encodeError: message => JSON.stringify({ error: message }),
  predictPath: model => `/v1/models/${encodeURIComponent(model)}:predict`,
  metadataPath: model => `/v1/models/${encodeURIComponent(model)}/metadata`,
  decodeMetadata: decodeSignatureDef,
}

const DEFAULT_SIGNATURE = 'serving_default'
const REQUEST: Writing = { nan: 'refused', infinity: 'refused', base64: true }
const RESPONSE: Writing = { ...ANSWER, base64: true }

function decodeRequest(body: WireBody, limits: DecodeLimits, model: Signature | undefined): InferRequest {
  return readNumbers(body.bytes, limits.depth, false, (json, digits) => {
    if (!isObject(json)) throw new UnderstudyError('BAD_REQUEST', 'expected a JSON object with "instances" or "inputs"')
    const signatureName = member(json, 'signature_name') ?? DEFAULT_SIGNATURE
    if (typeof signatureName !== 'string') {
      throw new UnderstudyError('BAD_REQUEST', '"signature_name" must be a string')
    }
    const instances = member(json, 'instances')
    const inputs = member(json, 'inputs')
    if ((instances === undefined) === (inputs === undefined)) {
      const both = instances === undefined ? 'has neither' : 'has both: exactly one is needed'
      throw new UnderstudyError('BAD_REQUEST', `of "instances" and "inputs" the request ${both}`)
    }
    const reading = { elements: limits.elements, digits, base64: true, answer: false }
    const naming: Naming = { model, reading, extras: 'refused', frame: false }
    const named = signatureName !== '' && signatureName !== DEFAULT_SIGNATURE
    return {
      id: undefined,
      inputs: instances === undefined ? columnTensors(inputs, naming) : rowTensors(instances, naming),
      outputs: undefined,
      binaryOutputs: false,
      columnar: instances === undefined,
      ...(named && { parameters: { signature_name: signatureName } }),
    }
  })
}

function rowTensors(instances: unknown, naming: Naming): Tensor[] {
  if (!Array.isArray(instances)) throw new UnderstudyError('BAD_REQUEST', '"instances" must be a list')
  if (instances.length === 0) throw new UnderstudyError('BAD_REQUEST', 'no values in "instances"')
  if (isNamed(instances[0])) return namedTensors(columnsOf(instances, 'instances'), naming)
  const named = instances.findIndex(isNamed)
  if (named > 0) {
    throw new UnderstudyError('BAD_REQUEST', `instances[${named}] is an object, which instances[0] is not`)
  }
  return [unnamedTensor(instances, naming)]
}

function columnTensors(inputs: unknown, naming: Naming): Tensor[] {
  if (isNamed(inputs)) return namedTensors(new Map(Object.entries(inputs)), naming)
  return [unnamedTensor(inputs, naming)]
}

function isNamed(value: unknown): value is Record<string, unknown> {
  return isObject(value) && base64Text(value) === undefined
}

/** Rows where all inputs have as many, since every server of this protocol takes them; else, and for no rows, columns. */
function encodeRequest({ inputs, parameters }: InferRequest): EncodedBody {
  const signature = parameters === undefined ? undefined : member(parameters, 'signature_name')
  const head = typeof signature === 'string' ? `"signature_name":${JSON.stringify(signature)},` : ''
  const [only, ...others] = inputs
  const rows = only?.shape[0] !== undefined && only.shape[0] > 0
  let values: string | undefined
  if (only !== undefined && others.length === 0) {
    values = `${rows ? '"instances"' : '"inputs"'}:${tensorText(only, REQUEST)}`
  } else {
    const records = rows ? recordsText(inputs, REQUEST) : undefined
    values = records === undefined ? `"inputs":${objectText(inputs, REQUEST)}` : `"instances":${records}`
  }
  return json(`{${head}${values}}`)
}

function encodeResponse({ outputs }: InferResponse, { columnar }: InferRequest): EncodedBody {
  const [only, ...others] = outputs
  if (only !== undefined && others.length === 0) {
    return json(`{${columnar ? '"outputs"' : '"predictions"'}:${tensorText(only, RESPONSE)}}`)
  }
  if (columnar) return json(`{"outputs":${objectText(outputs, RESPONSE)}}`)
  const records = recordsText(outputs, RESPONSE)
  if (records === undefined) {
    throw new UnderstudyError(
      'NOT_SUPPORTED',
      'the outputs do not have one number of rows, which "predictions" needs: ask by "inputs" instead of "instances"',
    )
  }
  return json(`{"predictions":${records}}`)
}

function json(body: string): EncodedBody {
  return { body, jsonBytes: undefined, contentType: 'application/json' }
}
