// Open Inference Protocol V2 over REST, JSON and binary: bytes ↔ requests and answers. Knows no version and no network.
// Wire format: kserve/open-inference-protocol, specification/protocol/inference_rest.md.
import { Buffer } from 'node:buffer'
import { UnderstudyError } from '../errors.ts'
import { isFiniteData } from './binaryTensors.ts'
import type {
  Codec,
  DecodeLimits,
  EncodedBody,
  InferRequest,
  InferResponse,
  RequestedOutput,
  WireBody,
} from './codec.ts'
import { decodeTensors, jsonTensorText, type RawMessage, rawTensorText } from './inferTensors.ts'
import { isObject, member, parseJson, parseJsonExact } from './json.ts'
import { KnownMessages } from './knownMessages.ts'
import { flag, holdsRounded, parametersOf, parametersText, passedOn, tensorParametersOf } from './parameters.ts'
import { decodeRawRequest } from './rawRequest.ts'
import { decodeServerMetadata } from './serverMetadata.ts'

/** The field that tells how many bytes of a body are JSON. */
export const JSON_BYTES_FIELD = 'inference-header-content-length'

const requests = new KnownMessages<'inputs', InferRequest>('inputs', (request, inputs) => ({ ...request, inputs }))
// Written out and not spread, as an answer has no more members than these.
const answers = new KnownMessages<'outputs', InferResponse>('outputs', ({ modelName, modelVersion, id }, outputs) => ({
  modelName,
  modelVersion,
  id,
  outputs,
}))

export const v2: Codec = {
  protocol: 'v2',

  decodeRequest(body, limits, model) {
    if (body.jsonBytes === 0) return decodeRawRequest(body.bytes, limits, model)
    const whole = () => decodeRequest(body, limits)
    return body.jsonBytes === undefined ? requests.decode(body.bytes, limits, whole) : whole()
  },

  /** JSON but for inputs that it cannot carry: FP16, NaN and infinity. */
  encodeRequest({ id, inputs, outputs, binaryOutputs, parameters }) {
    const raws: Uint8Array[] = []
    const tensors = inputs.map(tensor => {
      if (tensor.datatype !== 'FP16' && isFiniteData(tensor.data)) return jsonTensorText(tensor).text
      const { text, bytes } = rawTensorText(tensor)
      raws.push(bytes)
      return text
    })
    const own = binaryOutputs ? { binary_data_output: true } : undefined
    const asked = outputs?.map(({ name, binary, parameters }) => {
      const own = binary === undefined ? undefined : { binary_data: binary }
      return `{"name":${JSON.stringify(name)}${parametersText(parameters, own)}}`
    })
    const head = `{${id === undefined ? '' : `"id":${JSON.stringify(id)},`}"inputs":[${tensors.join(',')}]`
    const tail = `${asked === undefined ? '' : `,"outputs":[${asked.join(',')}]`}${parametersText(parameters, own)}}`
    return bodyOf(head + tail, raws)
  },

  decodeResponse(body, limits) {
    const whole = () => decodeAnswer(body, limits)
    return body.jsonBytes === undefined ? answers.decode(body.bytes, limits, whole) : whole()
  },

  /**
   * Each output in the form that the request asks for. JSON has no NaN or infinity: such values become null there, and the
   * response parameter `non_finite` names the outputs that hold them. @throws BAD_TENSOR for FP16 that is asked for as JSON
   */
  encodeResponse({ modelName, modelVersion, id, outputs }, request) {
    const raws: Uint8Array[] = []
    const nonFinite: string[] = []
    const tensors = outputs.map(tensor => {
      const asked = request.outputs?.find(({ name }) => name === tensor.name)
      if (asked?.binary ?? request.binaryOutputs) {
        const { text, bytes } = rawTensorText(tensor)
        raws.push(bytes)
        return text
      }
      const { text, allFinite } = jsonTensorText(tensor)
      if (!allFinite) nonFinite.push(tensor.name)
      return text
    })
    let head = `{"model_name":${JSON.stringify(modelName)}`
    if (modelVersion !== undefined) head += `,"model_version":${JSON.stringify(modelVersion)}`
    if (id !== undefined) head += `,"id":${JSON.stringify(id)}`
    if (nonFinite.length > 0) head += parametersText({ non_finite: nonFinite.join(',') })
    return bodyOf(`${head},"outputs":[${tensors.join(',')}]}`, raws)
  },

  encodeError,

  predictPath(model) {
    return `/v2/models/${encodeURIComponent(model)}/infer`
  },

  metadataPath(model) {
    return `/v2/models/${encodeURIComponent(model)}`
  },

  decodeMetadata: decodeServerMetadata,
}

function decodeRequest(body: WireBody, limits: DecodeLimits): InferRequest {
  const message = messageOf(body, limits)
  const { json } = message
  const id = member(json, 'id') ?? undefined
  if (id !== undefined && typeof id !== 'string') throw new UnderstudyError('BAD_REQUEST', '"id" must be a string')
  const rawInputs = member(json, 'inputs')
  if (!Array.isArray(rawInputs) || rawInputs.length === 0) {
    throw new UnderstudyError('BAD_REQUEST', '"inputs" must be a non-empty array of tensors')
  }
  const parameters = parametersOf(json, 'the request')
  return {
    id,
    inputs: decodeTensors(message, 'inputs', limits),
    outputs: requestedOutputs(message),
    binaryOutputs: flag(parameters, 'binary_data_output', 'the request') ?? false,
    columnar: false,
    ...passedOn(holdsRounded(parameters) ? parametersOf(message.exact(), 'the request') : parameters),
  }
}

function decodeAnswer(body: WireBody, limits: DecodeLimits): InferResponse {
  const message = messageOf(body, limits)
  const { json } = message
  if (!Array.isArray(member(json, 'outputs'))) throw new UnderstudyError('BAD_REQUEST', 'the answer has no "outputs"')
  const name = member(json, 'model_name')
  const version = member(json, 'model_version')
  const id = member(json, 'id')
  return {
    modelName: typeof name === 'string' ? name : '',
    modelVersion: typeof version === 'string' ? version : undefined,
    id: typeof id === 'string' ? id : undefined,
    outputs: decodeTensors(message, 'outputs', limits),
  }
}

/**
 * How many bytes of a body are JSON, by its Inference-Header-Content-Length.
 * @param bodyBytes length of the body, content codings taken off
 * @throws BAD_REQUEST when the field is no plain number or is past the end
 */
export function jsonBytesOf(field: string | undefined, bodyBytes: number): number | undefined {
  if (field === undefined) return undefined
  const bytes = /^\d+$/.test(field) ? Number(field) : Number.NaN
  if (bytes <= bodyBytes) return bytes
  const shown = JSON.stringify(field.slice(0, 32))
  throw new UnderstudyError(
    'BAD_REQUEST',
    `Inference-Header-Content-Length must be a number of bytes from 0 to the body's ${bodyBytes}, got ${shown}`,
  )
}

function bodyOf(json: string, raws: readonly Uint8Array[]): EncodedBody {
  if (raws.length === 0) return { body: json, jsonBytes: undefined, contentType: 'application/json' }
  const head = Buffer.from(json)
  return { body: Buffer.concat([head, ...raws]), jsonBytes: head.length, contentType: 'application/octet-stream' }
}

function messageOf({ bytes, jsonBytes }: WireBody, limits: DecodeLimits): RawMessage {
  const end = jsonBytes ?? bytes.length
  if (end > bytes.length) throw new UnderstudyError('BAD_REQUEST', `the JSON of ${end} bytes is cut off`)
  const head = bytes.subarray(0, end)
  let json: unknown
  try {
    json = parseJson(head, limits.depth)
  } catch (error) {
    throw jsonBytes === undefined && holdsRawTensors(bytes) ? missingLength(error) : error
  }
  if (!isObject(json)) throw new UnderstudyError('BAD_REQUEST', 'expected a JSON object')
  let exact: object | undefined
  return {
    json,
    exact: () => (exact ??= parseJsonExact(head) as object),
    raw: bytes.subarray(end),
    isLengthTold: jsonBytes !== undefined,
  }
}

/** Whether a body that is no JSON looks like JSON with raw tensors behind it. */
function holdsRawTensors(bytes: Uint8Array): boolean {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).includes('"binary_data_size"')
}

function missingLength(cause: unknown): UnderstudyError {
  const message = 'raw tensors need the field Inference-Header-Content-Length: the bytes of the JSON before them'
  return new UnderstudyError('BAD_REQUEST', message, { cause })
}

/** The outputs that a request asks for; undefined: all. @throws BAD_REQUEST, BAD_TENSOR, NOT_SUPPORTED */
export function requestedOutputs({
  json,
  exact,
}: Pick<RawMessage, 'json' | 'exact'>): readonly RequestedOutput[] | undefined {
  const raws = member(json, 'outputs') ?? undefined
  if (raws === undefined || (Array.isArray(raws) && raws.length === 0)) return undefined
  if (!Array.isArray(raws)) throw new UnderstudyError('BAD_REQUEST', '"outputs" must be an array')
  return raws.map((raw: unknown, index) => {
    const label = `outputs[${index}]`
    const name = isObject(raw) ? member(raw, 'name') : undefined
    if (typeof name !== 'string') throw new UnderstudyError('BAD_REQUEST', `${label} has no "name"`)
    const parameters = tensorParametersOf(raw as object, label)
    const again = () => tensorParametersOf((member(exact(), 'outputs') as readonly object[])[index]!, label)
    return {
      name,
      binary: flag(parameters, 'binary_data', label),
      ...passedOn(holdsRounded(parameters) ? again() : parameters),
    }
  })
}

/** An error body as the protocol has it. */
export function encodeError(message: string): string {
  return JSON.stringify({ error: message })
}
