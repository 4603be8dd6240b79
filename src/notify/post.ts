// Sends one webhook message by HTTP. The only door to undici here; knows nothing of queues and tries.
import { Agent } from 'undici'
import { messageOf } from '../errors.ts'
import type { Notice } from './notice.ts'

/** Time for a connection and a status line, together; what the receiver says after it is not read. */
export const POST_TIMEOUT_MS = 10_000

/** Undefined: it arrived (2xx). Else why not, without the address: its path may hold a secret. */
export type Post = (url: string, notice: Notice, signal: AbortSignal) => Promise<string | undefined>

export interface Poster {
  readonly post: Post
  /** Breaks off what is under way. */
  close(): Promise<void>
}

/** Redirects are not followed: an address comes from routes.yaml only. */
export function createPoster(userAgent: string, timeoutMs = POST_TIMEOUT_MS): Poster {
  const agent = new Agent({ connect: { timeout: timeoutMs }, connections: 1, keepAliveTimeout: 1_000 })
  return {
    async post(url, notice, stop) {
      const { origin, pathname, search } = new URL(url)
      const timeout = AbortSignal.timeout(timeoutMs)
      try {
        const { statusCode, body } = await agent.request({
          origin,
          path: pathname + search,
          method: 'POST',
          headers: {
            'content-type': 'application/json',
            'user-agent': userAgent,
            'x-understudy-event-id': notice.id,
          },
          body: JSON.stringify(notice),
          signal: AbortSignal.any([stop, timeout]),
          headersTimeout: timeoutMs,
          bodyTimeout: timeoutMs,
        })
        // Whatever it says, and however long: the status has said it all.
        body.on('error', () => {})
        body.destroy()
        return statusCode >= 200 && statusCode < 300 ? undefined : `status ${statusCode}`
      } catch (error) {
        if (timeout.aborted) return `no answer within ${timeoutMs / 1000} s`
        return (error as { code?: string }).code ?? messageOf(error)
      }
    },
    close: () => agent.destroy(),
  }
}
