// V2 answers of which all but the numbers is known: most of a version's answers differ in those alone. Pure but for its memory.
import { Buffer } from 'node:buffer'
import type { DecodeLimits, InferResponse } from './codec.ts'
import { tensorHead } from './inferTensors.ts'
import { isObject, member, parseJson } from './json.ts'
import { decodeData, ROUNDED } from './jsonTensors.ts'
import { elementCount, type Tensor } from './tensor.ts'

/** All of an answer but its numbers. */
interface Frame {
  /** What stands before, between and behind the lists of numbers, their brackets too; each byte is a character. */
  readonly around: readonly string[]
  /** Its outputs hold no values. */
  readonly answer: InferResponse
}

interface Known {
  /** The one that fitted last comes first. */
  frames: readonly Frame[]
  /** Answers in a row that fitted none. */
  missed: number
}

/** A longer one costs more by its numbers than by all that is around them. */
const MOST_BYTES = 64 * 1024
/** Versions of a route, and what they answer to one row and to several. */
const MOST_FRAMES = 4
/** Where every answer differs, as by an id of its own, it is soon tried with one in so many only. */
const GIVEN_UP_AFTER = 8
const TRIED_EVERY = 64
const LIST = /"data"\s*:\s*\[/g

// By the limits of whoever reads them, which are the same object as long as a configuration is.
const memory = new WeakMap<DecodeLimits, Known>()

/** What decoding would give; undefined where it must be decoded to be understood, or refused. */
export function knownAnswer(bytes: Uint8Array, limits: DecodeLimits): InferResponse | undefined {
  if (bytes.length > MOST_BYTES) return undefined
  const known = memory.get(limits)
  if (known === undefined || !isTried(known)) return undefined
  const text = textOf(bytes)
  for (const frame of known.frames) {
    const outputs = outputsIn(text, frame)
    if (outputs === undefined) continue
    known.missed = 0
    if (frame !== known.frames[0]) known.frames = [frame, ...known.frames.filter(each => each !== frame)]
    const { modelName, modelVersion, id } = frame.answer
    return { modelName, modelVersion, id, outputs }
  }
  return undefined
}

/** Remembers what stands around the numbers of an answer that was decoded under these limits. */
export function learnAnswer(bytes: Uint8Array, limits: DecodeLimits, answer: InferResponse): void {
  if (bytes.length > MOST_BYTES) return
  let known = memory.get(limits)
  if (known === undefined) {
    known = { frames: [], missed: 0 }
    memory.set(limits, known)
  }
  const frame = isTried(known) ? frameOf(textOf(bytes), limits, answer) : undefined
  if (frame !== undefined) known.frames = [frame, ...known.frames].slice(0, MOST_FRAMES)
  known.missed++
}

function isTried({ missed }: Known): boolean {
  return missed < GIVEN_UP_AFTER || missed % TRIED_EVERY === 0
}

/** As ISO 8859-1, in which every byte is a character: what is equal then has equal bytes. */
function textOf({ buffer, byteOffset, length }: Uint8Array): string {
  return Buffer.from(buffer, byteOffset, length).toString('latin1')
}

function outputsIn(text: string, { around, answer }: Frame): Tensor[] | undefined {
  const outputs: Tensor[] = []
  let at = 0
  for (let index = 0; index < answer.outputs.length; index++) {
    const before = around[index]!
    const start = at + before.length
    // `startsWith` takes three times as long.
    if (text.slice(at, start) !== before) return undefined
    const open = start - 1
    const close = text.indexOf(']', open)
    const output = close < 0 ? undefined : withNumbers(answer.outputs[index]!, text.slice(open, close + 1))
    if (output === undefined) return undefined
    outputs.push(output)
    at = close
  }
  const last = around[answer.outputs.length]!
  return text.slice(at) === last ? outputs : undefined
}

/** Undefined for what is no flat list of this output's numbers, or not all of their digits: decoding says what it is. */
function withNumbers({ name, datatype, shape }: Tensor, list: string): Tensor | undefined {
  try {
    const data = decodeData(JSON.parse(list) as unknown[], datatype, shape, elementCount(shape), name, true)
    return data === ROUNDED ? undefined : { name, datatype, shape, data }
  } catch {
    return undefined
  }
}

/** Undefined where an output is anything but a flat list of numbers, and where parameters may mean something for it alone. */
function frameOf(text: string, limits: DecodeLimits, answer: InferResponse): Frame | undefined {
  const around: string[] = []
  let from = 0
  for (const { index, 0: head } of text.matchAll(LIST)) {
    const start = index + head.length
    const close = text.indexOf(']', start)
    // One within what was taken out, or that does not end.
    if (index < from || close < 0) return undefined
    around.push(text.slice(from, start))
    from = close
  }
  around.push(text.slice(from))
  if (around.length !== answer.outputs.length + 1 || !isFrame(around.join(''), limits)) return undefined
  const isNumeric = answer.outputs.every(({ datatype }) => datatype !== 'BYTES' && datatype !== 'FP16')
  if (!isNumeric) return undefined
  const outputs = answer.outputs.map(({ name, datatype, shape }) => ({ name, datatype, shape, data: [] }))
  return { around, answer: { ...answer, outputs } }
}

/** Whether each output has an empty list now: as many as were taken out, so that each of those was the data of one. */
function isFrame(around: string, limits: DecodeLimits): boolean {
  try {
    const json = parseJson(Buffer.from(around, 'latin1'), limits.depth)
    const raws = isObject(json) ? member(json, 'outputs') : undefined
    if (!Array.isArray(raws)) return false
    return raws.every((raw, index) => {
      const { data, parameters } = tensorHead(raw, 'outputs', index, limits)
      return parameters === undefined && Array.isArray(data) && data.length === 0
    })
  } catch {
    return false
  }
}
