// MLflow's scoring protocol, POST /invocations: bytes ↔ tensors. Knows no version and no network.
// Wire format: mlflow/pyfunc/scoring_server/__init__.py (3.17) and mlflow/utils/proto_json_utils.py.
import { UnderstudyError } from '../errors.ts'
import type { Codec, DecodeLimits, EncodedBody, InferRequest, InferResponse, Signature, WireBody } from './codec.ts'
import { readCsv } from './csv.ts'
import { recordColumns, splitColumns } from './dataframe.ts'
import { readNumbers } from './digits.ts'
import { isObject, member } from './json.ts'
import { columnsOf, type Naming, namedTensors, UNNAMED_INPUT, unnamedTensor } from './named.ts'
import { rowTexts, tensorText, type Writing } from './nested.ts'
import { ANSWER, decodePredictions, objectText, recordsText } from './predictions.ts'
import type { Tensor } from './tensor.ts'
import { shorten } from './values.ts'

/**
 * MLflow 2 and 3. Requests are JSON with exactly one of `dataframe_split`, `dataframe_records`, `instances` and `inputs`,
 * or CSV; `params` travel as the parameter `params`. Answers are `predictions`; a single output is unnamed on the wire and
 * is called `predictions`.
 */
export const mlflow: Codec = {
  protocol: 'mlflow',
  decodeRequest,
  encodeRequest,
  decodeResponse: (body, limits) => decodePredictions(body, ['predictions'], limits, false),
  encodeResponse,
  encodeError,
  predictPath: () => '/invocations',
  metadataPath: () => undefined,
  decodeMetadata: () => undefined,
}

const FORMATS = ['dataframe_split', 'dataframe_records', 'instances', 'inputs'] as const
const EXPECTED = `The input must be a JSON dictionary with exactly one of the input fields {${FORMATS.map(name => `'${name}'`).join(', ')}}`

// NaN is how pandas says that a value is missing, and null is how its JSON says it.
const REQUEST: Writing = { nan: 'null', infinity: 'refused', base64: false }
const RESPONSE: Writing = { ...ANSWER, base64: false }

function decodeRequest(body: WireBody, limits: DecodeLimits, model: Signature | undefined): InferRequest {
  if (mediaTypeOf(body.contentType) === 'text/csv') return requestOf(csvTensors(body.bytes, limits, model), false)
  return readNumbers(body.bytes, limits.depth, false, (json, digits) => {
    if (!isObject(json)) {
      const received = Array.isArray(json) ? 'a list' : 'an unexpected input type'
      throw new UnderstudyError('BAD_REQUEST', `Invalid input. ${EXPECTED}. Received ${received}.`)
    }
    const found = FORMATS.filter(name => Object.hasOwn(json, name))
    const [format] = found
    if (format === undefined || found.length > 1) {
      const keys = Object.keys(json)
        .slice(0, 20)
        .map(key => `'${shorten(key)}'`)
      throw new UnderstudyError(
        'BAD_REQUEST',
        `${EXPECTED}. Received dictionary with input fields: [${keys.join(', ')}]`,
      )
    }
    const params = member(json, 'params') ?? undefined
    if (params !== undefined && !isObject(params))
      throw new UnderstudyError('BAD_REQUEST', '"params" must be an object')
    const reading = { elements: limits.elements, digits, base64: false, answer: false }
    const naming: Naming = { model, reading, extras: 'ignored', frame: format.startsWith('dataframe') }
    return requestOf(
      tensorsOf(format, json[format], naming),
      format === 'inputs',
      digits.exact ? plain(params) : params,
    )
  })
}

/** The value with numbers for BigInts, which no JSON can be made of: others than this codec pass parameters on. */
function plain(params: unknown): unknown {
  if (params === undefined) return undefined
  return JSON.parse(
    JSON.stringify(params, (_key, value: unknown) => (typeof value === 'bigint' ? Number(value) : value)),
  )
}

/**
 * `application/json` or `text/csv`, in lower case. As MLflow's server does it, only the parameter charset=utf-8 may follow.
 * @throws BAD_CONTENT_TYPE
 */
function mediaTypeOf(contentType: string): 'application/json' | 'text/csv' {
  const [type, ...parameters] = contentType.split(';').map(part => part.trim().toLowerCase())
  for (const parameter of parameters) {
    if (parameter === '' || /^charset="?utf-8"?$/.test(parameter)) continue
    const charset = parameter.startsWith('charset=')
    const why = charset ? 'only UTF-8 is supported' : `unrecognized content type parameter ${shorten(parameter)}`
    throw new UnderstudyError('BAD_CONTENT_TYPE', why)
  }
  if (type === 'application/json' || type === 'text/csv') return type
  throw new UnderstudyError(
    'BAD_CONTENT_TYPE',
    `only these content types are supported: ['text/csv', 'application/json']. Got '${shorten(contentType)}'`,
  )
}

function requestOf(inputs: Tensor[], columnar: boolean, params?: unknown): InferRequest {
  const parameters = params === undefined ? {} : { parameters: { params } }
  return { id: undefined, inputs, outputs: undefined, binaryOutputs: false, columnar, ...parameters }
}

function csvTensors(bytes: Uint8Array, limits: DecodeLimits, model: Signature | undefined): Tensor[] {
  const [only] = model?.inputs.length === 1 ? model.inputs : []
  const datatypeOf = (column: string) => (model?.inputs.find(spec => spec.name === column) ?? only)?.datatype
  // Cells are text: their integers are exact already.
  const digits = { exact: true, rounded: false, guessed: false }
  const reading = { elements: limits.elements, digits, base64: false, answer: false }
  return namedTensors(readCsv(bytes, datatypeOf), { model, reading, extras: 'ignored', frame: true })
}

function tensorsOf(format: (typeof FORMATS)[number], value: unknown, naming: Naming): Tensor[] {
  if (format === 'dataframe_split') return namedTensors(splitColumns(value), naming)
  if (format === 'dataframe_records') return namedTensors(recordColumns(value), naming)
  if (format === 'instances' && !Array.isArray(value)) {
    throw new UnderstudyError('BAD_REQUEST', '"instances" must be a list')
  }
  if (isObject(value)) return namedTensors(new Map(Object.entries(value)), naming)
  if (Array.isArray(value) && isObject(value[0])) return namedTensors(columnsOf(value, format), naming)
  return [unnamedTensor(value, naming)]
}

/**
 * Columns of one value a row are a data frame: MLflow's server takes that for columns and for tensors of any shape, where it
 * refuses `inputs` of [n,1] for a column and of [n] for a tensor [-1,1]. Others are `inputs`, by name where they are several.
 */
function encodeRequest({ inputs, parameters }: InferRequest): EncodedBody {
  const params = parameters === undefined ? undefined : member(parameters, 'params')
  const tail = params === undefined ? '' : `,"params":${JSON.stringify(params)}`
  const columns = inputs.map(oneValueARow)
  const [only, ...others] = columns
  const rows = only?.shape[0]
  const unnamed = only?.name === UNNAMED_INPUT
  if (rows === undefined || unnamed || columns.some(({ shape }) => shape.length !== 1 || shape[0] !== rows)) {
    const single = others.length === 0 ? inputs[0] : undefined
    const values = single === undefined ? objectText(inputs, REQUEST) : tensorText(single, REQUEST)
    return json(`{"inputs":${values}${tail}}`)
  }
  const names = JSON.stringify(columns.map(({ name }) => name))
  const texts = columns.map(column => rowTexts(column, REQUEST))
  const data = Array.from({ length: rows }, (_, row) => `[${texts.map(column => column[row]).join(',')}]`)
  return json(`{"dataframe_split":{"columns":${names},"data":[${data.join(',')}]}${tail}}`)
}

/**
 * One output is a list, of scalars where it has one value a row. Several are what MLflow's ONNX flavour answers: records,
 * as of a data frame, or for a request of `inputs` (and where rows differ) an object of lists, as of a dict of arrays.
 */
function encodeResponse({ outputs }: InferResponse, { columnar }: InferRequest): EncodedBody {
  const [only, ...others] = outputs
  if (only !== undefined && others.length === 0) {
    return json(`{"predictions":${tensorText(oneValueARow(only), RESPONSE)}}`)
  }
  const records = columnar ? undefined : recordsText(outputs.map(oneValueARow), RESPONSE)
  return json(`{"predictions":${records ?? objectText(outputs, RESPONSE)}}`)
}

function oneValueARow(tensor: Tensor): Tensor {
  const { shape } = tensor
  return shape.length === 2 && shape[1] === 1 ? { ...tensor, shape: [shape[0]!] } : tensor
}

/** As mlflow/exceptions.py maps statuses to codes. */
const ERROR_CODES: Readonly<Record<number, string>> = {
  401: 'UNAUTHENTICATED',
  403: 'PERMISSION_DENIED',
  404: 'ENDPOINT_NOT_FOUND',
  409: 'RESOURCE_CONFLICT',
  429: 'RESOURCE_EXHAUSTED',
  499: 'CANCELLED',
  501: 'NOT_IMPLEMENTED',
  503: 'TEMPORARILY_UNAVAILABLE',
  504: 'DEADLINE_EXCEEDED',
}

function encodeError(message: string, status: number): string {
  const code = ERROR_CODES[status] ?? (status >= 500 ? 'INTERNAL_ERROR' : 'BAD_REQUEST')
  return JSON.stringify({ error_code: code, message })
}

function json(body: string): EncodedBody {
  return { body, jsonBytes: undefined, contentType: 'application/json' }
}
