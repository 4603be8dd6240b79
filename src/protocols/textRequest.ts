// V2 requests whose numbers stay the text that they came in: enough to send several as one, without reading a number.
import { Buffer } from 'node:buffer'
import type { DecodeLimits, RequestedOutput, WireBody } from './codec.ts'
import { type TensorHead, tensorHead } from './inferTensors.ts'
import { isObject, member, parseJson } from './json.ts'
import { isNumbered, numbered } from './knownMessages.ts'
import { numbersIn } from './numberList.ts'
import { requestedOutputs } from './openInference.ts'
import { DATATYPES, type Datatype } from './tensor.ts'

/** A request without its numbers. */
interface Frame {
  readonly inputs: readonly Pick<TensorHead, 'name' | 'datatype' | 'shape' | 'count'>[]
  /** In the order asked, by name alone; undefined: all. */
  readonly outputs: readonly RequestedOutput[] | undefined
}

/** All of a request: the numbers of each input as JSON without the brackets around it. */
export interface TextRequest extends Frame {
  readonly texts: readonly Uint8Array[]
}

/** JSON carries these as numbers, and a number of JSON means the same in each. */
const NUMBERS: ReadonlySet<Datatype> = new Set(
  DATATYPES.filter(datatype => datatype !== 'BOOL' && datatype !== 'FP16' && datatype !== 'BYTES'),
)
const DATA = Buffer.from('"data"')
/** What is more than numbers gains nothing, and would be kept for the next request to be held against. */
const MOST_AROUND = 16 * 1024
const COLON = 0x3a
const OPEN = 0x5b
const CLOSE = 0x5d

/** What stands before, between and behind the lists of numbers; a byte is a character. Undefined: it is no such request. */
interface Known {
  readonly around: readonly string[]
  readonly frame: Frame | undefined
}

// Most requests of a route differ in their numbers alone: what stands around those is read once. By the route's limits,
// which are the same object as long as its configuration is.
const frames = new WeakMap<DecodeLimits, Known>()

/**
 * The request of a body that is all JSON, every input a flat list of numbers; undefined for any other body, which must be
 * decoded to be understood. Numbers may be outside their datatype: whoever gets them decides.
 */
export function textRequestOf({ bytes, jsonBytes }: WireBody, limits: DecodeLimits): TextRequest | undefined {
  if (jsonBytes !== undefined) return undefined
  const body = bytes instanceof Buffer ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  const known = frames.get(limits)
  const like = known && listsLike(body, known.around)
  if (like !== undefined) return requestOf(like, known!.frame)
  const found = listsIn(body)
  if (found === undefined) return undefined
  const frame = frameOf(found.around, 0, limits) && frameOf(found.around, 1, limits)
  frames.set(limits, { around: found.around, frame })
  return requestOf(found, frame)
}

/** The numbers of each list as text, and how many there are. */
interface Lists {
  readonly texts: readonly Uint8Array[]
  readonly counts: readonly number[]
}

function requestOf({ texts, counts }: Lists, frame: Frame | undefined): TextRequest | undefined {
  if (frame === undefined || frame.inputs.length !== texts.length) return undefined
  for (let index = 0; index < texts.length; index++) {
    if (frame.inputs[index]!.count !== counts[index]) return undefined
  }
  return { inputs: frame.inputs, outputs: frame.outputs, texts }
}

/** The lists of a body that has the same around them; undefined: it has not, or they hold more than numbers. */
function listsLike(body: Buffer, around: readonly string[]): Lists | undefined {
  const texts: Uint8Array[] = []
  const counts: number[] = []
  const last = around.length - 1
  const lastAt = body.length - around[last]!.length
  // The end first: an id may stand there, and reading the numbers twice would cost more than all else.
  if (lastAt < 0 || body.toString('latin1', lastAt) !== around[last]) return undefined
  let at = 0
  for (let index = 0; index < last; index++) {
    const start = at + around[index]!.length
    if (body.toString('latin1', at, start) !== around[index]) return undefined
    at = body.indexOf(CLOSE, start)
    const count = at < 0 ? -1 : numbersIn(body, start, at)
    if (count < 0) return undefined
    texts.push(body.subarray(start, at))
    counts.push(count)
  }
  return at === lastAt ? { texts, counts } : undefined
}

/** Every list of numbers under the name of data, and what is around them; undefined for none, or one that holds more. */
function listsIn(body: Buffer): (Lists & Pick<Known, 'around'>) | undefined {
  const texts: Uint8Array[] = []
  const counts: number[] = []
  const around: string[] = []
  let from = 0
  for (let at = body.indexOf(DATA); at >= 0; at = body.indexOf(DATA, from)) {
    const start = listStart(body, at + DATA.length)
    const end = start < 0 ? -1 : body.indexOf(CLOSE, start)
    // A list of lists, of texts, or an object ends elsewhere, and holds what no list of numbers does.
    const count = end < 0 ? -1 : numbersIn(body, start, end)
    if (count < 0) return undefined
    counts.push(count)
    texts.push(body.subarray(start, end))
    if (start - from > MOST_AROUND) return undefined
    around.push(body.toString('latin1', from, start))
    from = end
  }
  if (texts.length === 0 || body.length - from > MOST_AROUND) return undefined
  around.push(body.toString('latin1', from))
  return { texts, counts, around }
}

/** Several requests as the body of one, along the first dimension. All must go together, see shadow/batch.ts. */
export function joinedText(requests: readonly TextRequest[]): Buffer {
  const [first] = requests
  if (first === undefined) return Buffer.alloc(0)
  const pieces: Uint8Array[] = []
  first.inputs.forEach(({ name, datatype, shape }, index) => {
    const rows = requests.reduce((sum, { inputs }) => sum + inputs[index]!.shape[0]!, 0)
    const head = JSON.stringify({ name, datatype, shape: [rows, ...shape.slice(1)] }).slice(0, -1)
    pieces.push(Buffer.from(`${index === 0 ? '{"inputs":[' : ','}${head},"data":[`))
    requests.forEach(({ texts }, request) => {
      if (request > 0) pieces.push(COMMA)
      pieces.push(texts[index]!)
    })
    pieces.push(LIST_END)
  })
  const outputs = first.outputs === undefined ? '' : `,"outputs":${JSON.stringify(first.outputs.map(nameOf))}`
  pieces.push(Buffer.from(`]${outputs}}`))
  return Buffer.concat(pieces)
}

const COMMA = Buffer.from(',')
const LIST_END = Buffer.from(']}')

function nameOf({ name }: { readonly name: string }): { readonly name: string } {
  return { name }
}

/**
 * What stands around the numbers, read with a number in the place of each list. Undefined when it is no such request, and
 * where it has parameters: those may mean something for it alone.
 */
function frameOf(around: readonly string[], first: number, limits: DecodeLimits): Frame | undefined {
  try {
    const json = parseJson(numbered(around, first), limits.depth)
    if (!isObject(json)) return undefined
    const id = member(json, 'id') ?? undefined
    const raws = member(json, 'inputs')
    if ((id !== undefined && typeof id !== 'string') || !Array.isArray(raws)) return undefined
    const inputs = raws.map((raw, index) => tensorHead(raw, 'inputs', index, limits))
    const outputs = requestedOutputs({ json, exact: () => json })
    const hasParameters = (each: object) => (member(each, 'parameters') ?? undefined) !== undefined
    const asked = member(json, 'outputs')
    if (hasParameters(json) || raws.some(hasParameters) || (Array.isArray(asked) && asked.some(hasParameters)))
      return undefined
    const isText = inputs.every(({ datatype, data }, index) => NUMBERS.has(datatype) && isNumbered(data, first + index))
    if (!isText) return undefined
    return { inputs: inputs.map(({ name, datatype, shape, count }) => ({ name, datatype, shape, count })), outputs }
  } catch {
    return undefined
  }
}

/** Where the values of a list begin behind `"data"` and a colon; −1 when no list follows. */
function listStart(body: Buffer, after: number): number {
  const colon = skipBlanks(body, after)
  if (body[colon] !== COLON) return -1
  const open = skipBlanks(body, colon + 1)
  return body[open] === OPEN ? open + 1 : -1
}

function skipBlanks(body: Buffer, from: number): number {
  let at = from
  while (body[at] === 0x20 || body[at] === 0x09 || body[at] === 0x0a || body[at] === 0x0d) at++
  return at
}
