// Finds how many numbers a list in JSON holds, without reading any of them. Pure.
// The grammar is that of RFC 8259 section 6: -? (0 | [1-9][0-9]*) (. [0-9]+)? ([eE] [+-]? [0-9]+)?

/** Kinds of bytes; 0: one that stands in no list of numbers. */
const BLANK = 1
const MINUS = 2
const PLUS = 3
const ZERO = 4
const DIGIT = 5
const POINT = 6
const EXPONENT = 7
const COMMA = 8
const KINDS = 9

const KIND_OF = new Uint8Array(256)
for (const byte of Buffer.from(' \t\n\r')) KIND_OF[byte] = BLANK
for (const byte of Buffer.from('123456789')) KIND_OF[byte] = DIGIT
KIND_OF[0x2d] = MINUS
KIND_OF[0x2b] = PLUS
KIND_OF[0x30] = ZERO
KIND_OF[0x2e] = POINT
KIND_OF[0x65] = EXPONENT
KIND_OF[0x45] = EXPONENT
KIND_OF[0x2c] = COMMA

/** Where in a list one is, by what may follow; `wrong` leads nowhere. */
const STATES = [
  'wrong',
  'start',
  'wanted',
  'minus',
  'zero',
  'whole',
  'point',
  'fraction',
  'exponent',
  'sign',
  'power',
  'after',
] as const
type State = (typeof STATES)[number]

const VALUE = { [MINUS]: 'minus', [ZERO]: 'zero', [DIGIT]: 'whole' } as const
const END = { [BLANK]: 'after', [COMMA]: 'wanted' } as const
const POWER = { [ZERO]: 'power', [DIGIT]: 'power' } as const
const FRACTION = { [ZERO]: 'fraction', [DIGIT]: 'fraction' } as const
const FOLLOWING: Readonly<Record<State, Readonly<Record<number, State>>>> = {
  wrong: {},
  start: { ...VALUE, [BLANK]: 'start' },
  wanted: { ...VALUE, [BLANK]: 'wanted' },
  minus: { [ZERO]: 'zero', [DIGIT]: 'whole' },
  zero: { ...END, [POINT]: 'point', [EXPONENT]: 'exponent' },
  whole: { ...END, [ZERO]: 'whole', [DIGIT]: 'whole', [POINT]: 'point', [EXPONENT]: 'exponent' },
  point: FRACTION,
  fraction: { ...END, ...FRACTION, [EXPONENT]: 'exponent' },
  exponent: { ...POWER, [MINUS]: 'sign', [PLUS]: 'sign' },
  sign: POWER,
  power: { ...END, ...POWER },
  after: END,
}

const START = STATES.indexOf('start')
const WANTED = STATES.indexOf('wanted')
const NEXT = new Uint8Array(STATES.length * KINDS)
for (const [state, name] of STATES.entries()) {
  for (const [kind, next] of Object.entries(FOLLOWING[name])) NEXT[state * KINDS + Number(kind)] = STATES.indexOf(next)
}
const MAY_END = STATES.map(state => ['zero', 'whole', 'fraction', 'power', 'after'].includes(state))

/** How many numbers stand between the brackets of a JSON list, `bytes` from `start` to `end`; −1 when anything else does. */
export function numbersIn(bytes: Uint8Array, start: number, end: number): number {
  let state = START
  let commas = 0
  for (let at = start; at < end; at++) {
    state = NEXT[state * KINDS + KIND_OF[bytes[at]!]!]!
    if (state === WANTED) {
      // Blanks keep it here; only the comma came from elsewhere.
      if (bytes[at] === 0x2c) commas++
    } else if (state === 0) return -1
  }
  if (state === START) return 0
  return MAY_END[state] ? commas + 1 : -1
}
