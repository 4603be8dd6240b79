// Decides which header fields pass the gateway in either direction. Pure.

// RFC 9110 section 7.6.1, and what the gateway says itself.
const HOP_BY_HOP = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
])
const REPLACED = new Set([
  'host',
  'content-length',
  'expect',
  'forwarded',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-proto',
  'x-real-ip',
  'x-request-id',
  'traceparent',
  'tracestate',
  'baggage',
  // What of it may be passed on is added again: an answer in a coding that the client alone understands is not comparable.
  'accept-encoding',
])

const NOT_SENT = new Set([...HOP_BY_HOP, ...REPLACED])

// What the gateway says of its answer itself.
const NOT_ANSWERED = new Set([...HOP_BY_HOP, 'content-length', 'x-request-id'])

/**
 * The client's header fields that may go upstream, names and values in turn, hop-by-hop fields and those the gateway
 * sets itself left out. Fields that Connection names go first: ours are added after, so they cannot be stripped.
 */
export function requestHeaders(rawHeaders: readonly string[], connection: string | undefined): string[] {
  const named = connectionOptions(connection)
  const kept: string[] = []
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    const name = sentName(rawHeaders[index]!, index >> 1)
    if (name === undefined || named?.has(name)) continue
    kept.push(name, rawHeaders[index + 1]!)
  }
  return kept
}

/** Of the request before, by place: most clients write the same names in the same order, and to compare is to hash none. */
const lastWritten: string[] = []
const lastSent: (string | undefined)[] = []
/** By a name as it was written. Clients write the same few names always; a stranger may make up more. */
const sentNames = new Map<string, string | undefined>()
const MOST_NAMES = 500
const LONGEST_NAME = 64

/** A field's name in lower case; undefined: it is not sent on. */
function sentName(written: string, place: number): string | undefined {
  if (written === lastWritten[place]) return lastSent[place]
  const name = sentNameOf(written)
  if (place > lastWritten.length || place >= MOST_NAMES || written.length > LONGEST_NAME) return name
  lastWritten[place] = written
  lastSent[place] = name
  return name
}

function sentNameOf(written: string): string | undefined {
  let name = sentNames.get(written)
  if (name !== undefined || sentNames.has(written)) return name
  name = written.toLowerCase()
  if (NOT_SENT.has(name) || name.startsWith('x-understudy-')) name = undefined
  if (sentNames.size < MOST_NAMES && written.length <= LONGEST_NAME) sentNames.set(written, name)
  return name
}

/** The upstream's header fields that may go to the client, names and values in turn. */
export function answerHeaders(headers: Readonly<Record<string, string | string[] | undefined>>): string[] {
  const named = connectionOptions(headers.connection as string | undefined)
  const kept: string[] = []
  for (const name in headers) {
    if (NOT_ANSWERED.has(name) || name.startsWith('x-understudy-') || named?.has(name)) continue
    const value = headers[name]
    if (typeof value === 'string') kept.push(name, value)
    else if (value) for (const each of value) kept.push(name, each)
  }
  return kept
}

const REQUEST_ID = /^[A-Za-z0-9._:@/+=-]{1,128}$/
export const REQUEST_ID_FORM = '1 to 128 letters, digits and . _ : @ / + = -'

/** The client's request id when it is one that may stand in headers, logs and labels; undefined otherwise. */
export function cleanRequestId(value: string | string[] | undefined): string | undefined {
  return typeof value === 'string' && REQUEST_ID.test(value) ? value : undefined
}

/** The value of a cookie; undefined when it is not there. */
export function cookieValue(header: string | undefined, name: string): string | undefined {
  if (header === undefined) return undefined
  for (const part of header.split(';')) {
    const at = part.indexOf('=')
    if (at > 0 && part.slice(0, at).trim() === name) return part.slice(at + 1).trim()
  }
  return undefined
}

function connectionOptions(connection: string | undefined): Set<string> | undefined {
  if (connection === undefined || connection === 'keep-alive' || connection === 'close') return undefined
  return new Set(
    connection
      .toLowerCase()
      .split(',')
      .map(option => option.trim()),
  )
}
