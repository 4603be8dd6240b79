// Decides from a request's head alone whether it is read at all. What node's own parser refuses never comes here.
import type { IncomingMessage } from 'node:http'
import { UnderstudyError } from '../errors.ts'

/**
 * Why a request is refused before its body is read; undefined when it is not. All of these are read in different ways
 * by different servers, and an intermediary that guesses can be made to forward a request nobody sent.
 */
export function refusalOf(request: IncomingMessage): UnderstudyError | undefined {
  const { url = '', rawHeaders, headers } = request
  if (!url.startsWith('/')) return new UnderstudyError('BAD_REQUEST', 'the request target must be a path')
  let hosts = 0
  // node keeps the first of several Host fields in silence.
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index]!
    if (name.length === 4 && name.toLowerCase() === 'host' && ++hosts > 1)
      return new UnderstudyError('BAD_REQUEST', 'more than one Host field')
  }
  const coding = headers['transfer-encoding']
  // node takes "gzip, chunked" for chunked and leaves the gzip to whoever reads the body.
  if (coding !== undefined && coding.trim().toLowerCase() !== 'chunked')
    return new UnderstudyError('NOT_SUPPORTED', 'the transfer coding is not supported')
  return undefined
}

/**
 * The path of a request target that is an address of this very host, which clients of proxies send and every server must
 * take (RFC 9112 section 3.2.2); any other target as it stands.
 */
export function pathFormOf({ url = '', headers }: IncomingMessage): string {
  if (url.startsWith('/')) return url
  const [, authority, rest = ''] = /^http:\/\/([^/?#]*)(.*)$/i.exec(url) ?? []
  if (authority === undefined || authority.toLowerCase() !== headers.host?.toLowerCase()) return url
  return rest.startsWith('/') ? rest : `/${rest}`
}

/** Whether a path has segments that a URL parser would resolve: paths are matched as they stand or not at all. */
export function hasDotSegments(url: string): boolean {
  return /(^|\/)(\.|%2e){1,2}(\/|$|\?|#)/i.test(url) || url.includes('\\')
}
