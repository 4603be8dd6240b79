// V2 messages of which all but the values is known: most requests of a route, and a version's answers, differ in those alone.
// Pure but for its memory.
import { Buffer } from 'node:buffer'
import type { DecodeLimits } from './codec.ts'
import { tensorHead } from './inferTensors.ts'
import { isObject, member, parseJson } from './json.ts'
import { decodeData, ROUNDED } from './jsonTensors.ts'
import { type Datatype, elementCount, type Tensor } from './tensor.ts'

/** A tensor without its values. */
interface Head {
  readonly name: string
  readonly datatype: Datatype
  readonly shape: readonly number[]
  readonly count: number
}

/** All of a message but its values. */
interface Frame<Message> {
  /** What stands before, between and behind the lists of values, their brackets too; each byte is a character. */
  readonly around: readonly string[]
  readonly heads: readonly Head[]
  /** Without its tensors. */
  readonly message: Message
}

interface Known<Message> {
  /** The one that fitted last comes first. */
  frames: readonly Frame<Message>[]
  /** Messages in a row that had to be decoded. */
  missed: number
}

/** A longer one costs more by its values than by all that is around them. */
const MOST_BYTES = 64 * 1024
/** What is more than values gains little, and would be kept. */
const MOST_AROUND = 16 * 1024
/** Versions of a route, and what they answer to one row and to several. */
const MOST_FRAMES = 4
/** Where every message differs, as by an id of its own, it is soon tried with one in so many only. */
const GIVEN_UP_AFTER = 8
const TRIED_EVERY = 64
const LIST = /"data"\s*:\s*\[/g
const BEYOND_ASCII = /[\x80-\xff]/

type Join<Message> = (message: Message, tensors: readonly Tensor[]) => Message

/** Those of one kind: requests, whose tensors stand under `inputs`, or answers. */
export class KnownMessages<Key extends 'inputs' | 'outputs', Message extends Readonly<Record<Key, readonly Tensor[]>>> {
  readonly #key: Key
  readonly #join: Join<Message>
  // By the limits of whoever reads them: those of a route are the same object as long as a configuration is.
  readonly #memory = new WeakMap<DecodeLimits, Known<Message>>()

  /** @param join a message with tensors in the place of its own, written out: a spread with a computed key takes twice as long */
  constructor(key: Key, join: Join<Message>) {
    this.#key = key
    this.#join = join
  }

  /**
   * What `whole` gives for a message read under these limits, most of which is known where one like it came before.
   * @param whole decodes all of it; whatever is not understood here is left to it, and what it throws is thrown
   */
  decode(bytes: Uint8Array, limits: DecodeLimits, whole: () => Message): Message {
    if (bytes.length > MOST_BYTES) return whole()
    let known = this.#memory.get(limits)
    if (known === undefined) {
      known = { frames: [], missed: 0 }
      this.#memory.set(limits, known)
    }
    if (!isTried(known)) {
      known.missed++
      return whole()
    }
    const text = textOf(bytes)
    const fitting = fittingIn(text, known.frames)
    const tensors = fitting && tensorsOf(fitting.lists, fitting.frame.heads, this.#key === 'outputs')
    if (tensors !== undefined) {
      const { frame } = fitting!
      known.missed = 0
      if (frame !== known.frames[0]) known.frames = [frame, ...known.frames.filter(each => each !== frame)]
      return this.#join(frame.message, tensors)
    }
    const message = whole()
    known.missed++
    // A message like one before may have values that must be decoded.
    const frame = fitting === undefined ? this.#frameOf(text, limits, message) : undefined
    if (frame !== undefined) known.frames = [frame, ...known.frames].slice(0, MOST_FRAMES)
    return message
  }

  #frameOf(text: string, limits: DecodeLimits, message: Message): Frame<Message> | undefined {
    const tensors = message[this.#key]
    const around = this.#aroundOf(text, limits, tensors.length)
    if (around === undefined) return undefined
    const heads = tensors.map(({ name, datatype, shape }) => ({ name, datatype, shape, count: elementCount(shape) }))
    // A message that is kept would keep its values.
    return { around, heads, message: this.#join(message, []) }
  }

  /** Undefined where a tensor is anything but a flat list, and where parameters may mean something for it alone. */
  #aroundOf(text: string, limits: DecodeLimits, tensors: number): readonly string[] | undefined {
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
    const length = around.reduce((sum, part) => sum + part.length, 0)
    if (around.length !== tensors + 1 || length > MOST_AROUND) return undefined
    return [0, 1].every(first => this.#isFrame(around, first, limits)) ? around.map(copied) : undefined
  }

  /** Whether the lists that were taken out are the data of the tensors, in their order, see {@link numbered}. */
  #isFrame(around: readonly string[], first: number, limits: DecodeLimits): boolean {
    try {
      const json = parseJson(numbered(around, first), limits.depth)
      const raws = isObject(json) ? member(json, this.#key) : undefined
      if (!Array.isArray(raws)) return false
      return raws.every((raw, index) => {
        const { data, parameters } = tensorHead(raw, this.#key, index, limits)
        return parameters === undefined && isNumbered(data, first + index)
      })
    } catch {
      return false
    }
  }
}

/**
 * What stands around lists, with a number in the place of each, from `first` on. Whoever finds the numbers where the data of
 * tensors should be, for two values of `first`, knows that each list was that and stood nowhere else.
 */
export function numbered(around: readonly string[], first: number): Buffer {
  return Buffer.from(
    around.reduce((text, part, index) => `${text}${first + index - 1}${part}`),
    'latin1',
  )
}

/** Whether data is the list with that number. */
export function isNumbered(data: unknown, number: number): boolean {
  return Array.isArray(data) && data.length === 1 && data[0] === number
}

function isTried({ missed }: Known<unknown>): boolean {
  return missed < GIVEN_UP_AFTER || missed % TRIED_EVERY === 0
}

/** As ISO 8859-1, in which every byte is a character: what is equal then has equal bytes. */
function textOf(bytes: Uint8Array): string {
  const buffer = bytes instanceof Buffer ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  return buffer.toString('latin1')
}

/** A part of a text would keep all of it in memory. */
function copied(part: string): string {
  return Buffer.from(part, 'latin1').toString('latin1')
}

/** The frame that a message has, and its lists. */
function fittingIn<Message>(
  text: string,
  frames: readonly Frame<Message>[],
): { readonly frame: Frame<Message>; readonly lists: readonly string[] } | undefined {
  for (const frame of frames) {
    const lists = listsIn(text, frame.around)
    if (lists !== undefined) return { frame, lists }
  }
  return undefined
}

/** Each list with its brackets, as far as its first closing one. */
function listsIn(text: string, around: readonly string[]): readonly string[] | undefined {
  const lists: string[] = []
  const last = around.length - 1
  let at = 0
  for (let index = 0; index < last; index++) {
    const before = around[index]!
    const start = at + before.length
    // `startsWith` takes three times as long.
    if (text.slice(at, start) !== before) return undefined
    at = text.indexOf(']', start)
    if (at < 0) return undefined
    lists.push(text.slice(start - 1, at + 1))
  }
  return text.slice(at) === around[last] ? lists : undefined
}

/** Undefined for what is no flat list of a tensor's values, or not all of their digits: decoding says what it is. */
function tensorsOf(lists: readonly string[], heads: readonly Head[], isAnswer: boolean): Tensor[] | undefined {
  try {
    // Parsed together: one call for each takes as long as the values do. A closing bracket in a text would swallow the
    // list behind it, and as each list has one such bracket, there would be too few.
    const all = JSON.parse(`[${lists.join()}]`) as unknown[][]
    if (all.length !== heads.length) return undefined
    const tensors: Tensor[] = []
    for (let index = 0; index < heads.length; index++) {
      const { name, datatype, shape, count } = heads[index]!
      if (datatype === 'BYTES' && BEYOND_ASCII.test(lists[index]!)) return undefined
      const data = decodeData(all[index]!, datatype, shape, count, name, isAnswer)
      if (data === ROUNDED) return undefined
      tensors.push({ name, datatype, shape, data })
    }
    return tensors
  } catch {
    return undefined
  }
}
