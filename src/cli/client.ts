// Asks a gateway's admin API. The commands' only door to undici; knows no command.
import { hostname, userInfo } from 'node:os'
import { Client } from 'undici'
import { ERRORS, type ErrorCode, messageOf, UnderstudyError } from '../errors.ts'
import { CommandFailure, EXIT } from './exit.ts'

export interface AdminClientOptions {
  /** `http://127.0.0.1:9090` */
  readonly url: string
  readonly token: string | undefined
  /** Time for one whole answer, ms. */
  readonly timeoutMs: number
}

export interface AdminClient {
  /** The JSON of an answer. @throws CommandFailure (5 unreachable, 124 timeout), UnderstudyError as the gateway said it */
  get(path: string): Promise<unknown>
  /** As `get`. The same `idempotencyKey` twice is done once. */
  post(path: string, body: object, idempotencyKey: string): Promise<unknown>
  close(): Promise<void>
}

const MAX_ANSWER_BYTES = 64 * 1024 * 1024

export function createAdminClient({ url, token, timeoutMs }: AdminClientOptions): AdminClient {
  const base = adminUrl(url)
  const client = new Client(base.origin, { connect: { timeout: timeoutMs }, keepAliveTimeout: 1000 })
  const prefix = base.pathname.replace(/\/$/, '')

  async function ask(method: 'GET' | 'POST', path: string, headers: Record<string, string>, body: string | null) {
    const signal = AbortSignal.timeout(timeoutMs)
    let status: number
    let text: string
    try {
      const answer = await client.request({
        method,
        path: prefix + path,
        headers: {
          accept: 'application/json',
          ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
          ...headers,
        },
        body,
        signal,
        headersTimeout: timeoutMs,
        bodyTimeout: timeoutMs,
      })
      status = answer.statusCode
      text = await boundedText(answer.body)
    } catch (error) {
      if (error instanceof CommandFailure) throw error
      if (signal.aborted || /TIMEOUT/.test((error as NodeJS.ErrnoException).code ?? ''))
        throw new CommandFailure(
          EXIT.timeout,
          `the gateway at ${base.origin} did not answer within ${timeoutMs / 1000} s`,
        )
      const why = (error as NodeJS.ErrnoException).code ?? messageOf(error)
      throw new CommandFailure(
        EXIT.unreachable,
        `no gateway answers at ${base.origin} (${why}); is it running, and is --admin right?`,
        {
          cause: error,
        },
      )
    }
    return answerOf(status, text, base.origin)
  }

  return {
    get: path => ask('GET', path, {}, null),
    post: (path, body, idempotencyKey) =>
      ask(
        'POST',
        path,
        { 'content-type': 'application/json', 'idempotency-key': idempotencyKey },
        JSON.stringify({ who: whoAmI(), ...body }),
      ),
    close: () => client.close(),
  }
}

/** @throws CommandFailure 2 when it is no http address, or holds a password */
function adminUrl(url: string): URL {
  const parsed = URL.parse(url)
  if (parsed === null || (parsed.protocol !== 'http:' && parsed.protocol !== 'https:'))
    throw new CommandFailure(EXIT.usage, `expected an http or https address for --admin, got ${JSON.stringify(url)}`)
  if (parsed.username !== '' || parsed.password !== '')
    throw new CommandFailure(
      EXIT.usage,
      'expected an address without user name and password for --admin; the token goes in UNDERSTUDY_TOKEN',
    )
  return parsed
}

function answerOf(status: number, text: string, origin: string): unknown {
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch {
    throw new CommandFailure(
      EXIT.unreachable,
      `what answers at ${origin} is not an Understudy gateway (status ${status}, no JSON)`,
    )
  }
  if (status >= 200 && status < 300) return json
  const { error, code } = (json ?? {}) as { error?: unknown; code?: unknown }
  if (typeof error !== 'string' || typeof code !== 'string' || !Object.hasOwn(ERRORS, code))
    throw new CommandFailure(
      EXIT.unreachable,
      `what answers at ${origin} is not an Understudy gateway (status ${status})`,
    )
  const hint = code === 'UNAUTHORIZED' ? ' (set UNDERSTUDY_TOKEN)' : ''
  throw new UnderstudyError(code as ErrorCode, error + hint)
}

async function boundedText(body: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of body) {
    bytes += chunk.length
    if (bytes > MAX_ANSWER_BYTES) throw new CommandFailure(EXIT.error, 'the answer of the gateway is too large')
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

/** Who stands in the gateway's history. */
function whoAmI(): string {
  try {
    return `${userInfo().username}@${hostname()}`
  } catch {
    // A container's user id need not have an entry.
    return `uid ${process.getuid?.() ?? 'unknown'}@${hostname()}`
  }
}
