// Decides who may use the admin API: bearer token, and no other site's pages. Knows none of its paths.
import { createHash, timingSafeEqual } from 'node:crypto'
import { isIP } from 'node:net'
import type { HttpBindings } from '@hono/node-server'
import type { MiddlewareHandler } from 'hono'
import { UnderstudyError } from '../errors.ts'

export interface GuardOptions {
  /** Undefined: nobody needs one. Only its hash is kept. */
  readonly token: string | undefined
  /** Only this machine can reach the listener, so a Host that is another name is a rebound one. */
  readonly loopback: boolean
  /** Milliseconds on any monotonic clock. */
  readonly now: () => number
}

/** Wrong tokens of one address in a row before it must wait. */
const FREE_GUESSES = 5
const FIRST_WAIT_MS = 1_000
const LONGEST_WAIT_MS = 60_000
/** Addresses remembered; beyond it the oldest is forgotten. */
const MAX_ADDRESSES = 1_024

interface Guesses {
  count: number
  waitUntil: number
}

/** Throws UNAUTHORIZED or FORBIDDEN for requests that may not pass. */
export function createGuard({ token, loopback, now }: GuardOptions): MiddlewareHandler<{ Bindings: HttpBindings }> {
  const expected = token === undefined ? undefined : sha256(token)
  const guesses = new Map<string, Guesses>()

  return async (context, next) => {
    refuseOtherSites(name => context.req.header(name), loopback)
    if (expected === undefined) return next()

    // `app.request()` of tests has no socket.
    const address = context.env?.incoming?.socket?.remoteAddress ?? 'unknown'
    const earlier = guesses.get(address)
    const waitMs = (earlier?.waitUntil ?? 0) - now()
    if (waitMs > 0) {
      // Not compared at all: otherwise guessing would go on at full speed behind the refusals.
      context.header('retry-after', String(Math.ceil(waitMs / 1000)))
      throw new UnderstudyError('UNAUTHORIZED', 'too many wrong tokens; try again later')
    }
    const given = /^Bearer ([\x21-\x7e]{1,4096})$/i.exec(context.req.header('authorization') ?? '')?.[1]
    if (given === undefined) {
      context.header('www-authenticate', 'Bearer realm="understudy"')
      throw new UnderstudyError('UNAUTHORIZED', 'a bearer token is needed')
    }
    if (!timingSafeEqual(sha256(given), expected)) {
      remember(guesses, address, earlier, now())
      throw new UnderstudyError('UNAUTHORIZED', 'wrong token')
    }
    guesses.delete(address)
    return next()
  }
}

/**
 * A page of another site can make a browser send requests here, and by DNS rebinding even read the answers. Browsers say
 * where a request comes from; clients that are no browsers say nothing and pass.
 * @throws FORBIDDEN
 */
export function refuseOtherSites(header: (name: string) => string | undefined, loopback: boolean): void {
  const host = header('host')
  const url = host === undefined || /[/?#@\\\s]/.test(host) ? null : URL.parse(`http://${host}`)
  if (url === null) throw new UnderstudyError('FORBIDDEN', 'the Host header is missing or wrong')
  if (loopback && !isLoopbackName(url.hostname))
    throw new UnderstudyError(
      'FORBIDDEN',
      'this listener answers on localhost only; the Host header names another machine',
    )
  const site = header('sec-fetch-site')
  if (site !== undefined && site !== 'same-origin' && site !== 'none')
    throw new UnderstudyError('FORBIDDEN', 'requests from other sites are refused')
  const origin = header('origin')
  if (origin !== undefined && !isOwn(origin, url.host))
    throw new UnderstudyError('FORBIDDEN', 'requests from other origins are refused')
}

function isOwn(origin: string, host: string): boolean {
  const url = URL.parse(origin)
  return url !== null && (url.protocol === 'http:' || url.protocol === 'https:') && url.host === host
}

function isLoopbackName(hostname: string): boolean {
  const name = hostname.replace(/^\[|\]$/g, '').toLowerCase()
  return name === 'localhost' || name === '::1' || (isIP(name) === 4 && name.startsWith('127.'))
}

function remember(guesses: Map<string, Guesses>, address: string, earlier: Guesses | undefined, now: number): void {
  const count = (earlier?.count ?? 0) + 1
  const waitMs =
    count < FREE_GUESSES ? 0 : Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** Math.min(count - FREE_GUESSES, 10))
  guesses.delete(address)
  guesses.set(address, { count, waitUntil: now + waitMs })
  const oldest = guesses.keys().next().value
  if (guesses.size > MAX_ADDRESSES && oldest !== undefined) guesses.delete(oldest)
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
