// Listens for the admin API on a socket of its own, with bounds on what a caller may cost. Knows none of its paths.
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { getRequestListener } from '@hono/node-server'
import { isLoopback } from '../config/rules.ts'
import { UnderstudyError } from '../errors.ts'
import { createAdminApi } from './api.ts'
import { createGuard } from './auth.ts'
import type { Control } from './control.ts'

export interface AdminListenerOptions {
  readonly host: string
  /** 0: any free one. */
  readonly port: number
  readonly token: string | undefined
  readonly control: Control
  /** Hears of failures that nobody foresaw. */
  readonly onInternalError?: (error: unknown) => void
}

export interface AdminListener {
  readonly port: number
  /** Refuses new connections, lets answers under way end, and cuts what is left after two seconds. */
  close(): Promise<void>
}

const MAX_CONNECTIONS = 256
const HEADERS_TIMEOUT_MS = 10_000
const REQUEST_TIMEOUT_MS = 30_000
const KEEP_ALIVE_MS = 5_000
const CLOSE_MS = 2_000

/**
 * Listens.
 * @throws BAD_CONFIGURATION off loopback without a token, or where the address cannot be had
 */
export async function startAdmin(options: AdminListenerOptions): Promise<AdminListener> {
  const { host, port, token, control, onInternalError } = options
  const loopback = isLoopback(host)
  if (!loopback && token === undefined)
    throw new UnderstudyError(
      'BAD_CONFIGURATION',
      `the admin API on ${host} needs an admin.token: only loopback goes without`,
    )
  const app = createAdminApi({
    control,
    guard: createGuard({ token, loopback, now: () => performance.now() }),
    ...(onInternalError !== undefined && { onInternalError }),
  })
  const server = createServer(
    {
      headersTimeout: HEADERS_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
      keepAliveTimeout: KEEP_ALIVE_MS,
      connectionsCheckingInterval: 1_000,
    },
    getRequestListener(app.fetch, { overrideGlobalObjects: false }),
  )
  server.maxConnections = MAX_CONNECTIONS
  await new Promise<void>((resolve, reject) => {
    server.once('error', cause => {
      const why = (cause as NodeJS.ErrnoException).code ?? cause.message
      reject(
        new UnderstudyError('BAD_CONFIGURATION', `the admin API cannot listen on ${host}:${port} (${why})`, { cause }),
      )
    })
    server.listen(port, host, resolve)
  })
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise(resolve => {
        const timer = setTimeout(() => server.closeAllConnections(), CLOSE_MS)
        server.close(() => {
          clearTimeout(timer)
          resolve()
        })
        server.closeIdleConnections()
      }),
  }
}
