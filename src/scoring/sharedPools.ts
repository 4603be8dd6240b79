// Kept-alive connections to model servers, shared by all versions of a thread that are reached alike. The only door to
// undici's dispatcher; who may use how many of them is not known here.
import { Pool } from 'undici'
import { connectorFor } from './connection.ts'

export interface PoolSettings {
  readonly origin: string
  readonly connectMs: number
  readonly firstByteMs: number
}

/** One user's hold of a pool, which ends with its last user. */
export interface PoolShare {
  readonly dispatch: Pool['dispatch']
  /** To be called once. */
  close(): Promise<void>
  /** The same without waiting for what other users broke off a moment ago. To be called once. */
  destroy(): Promise<void>
}

/** Of this thread: a module is loaded once in each. */
const pools = new Map<string, { readonly pool: Pool; users: number }>()

/**
 * A share of the pool for these settings. Ten thousand versions behind one server would otherwise open ten thousand
 * connections, and nearly every request one of them, since none is used twice before it is idle for too long.
 */
export function shareOfPool(settings: PoolSettings): PoolShare {
  const key = JSON.stringify([settings.origin, settings.connectMs, settings.firstByteMs])
  const shared = pools.get(key) ?? { pool: openPool(settings), users: 0 }
  pools.set(key, shared)
  shared.users++
  const isLast = () => {
    if (--shared.users > 0) return false
    pools.delete(key)
    return true
  }
  return {
    dispatch: (options, handler) => shared.pool.dispatch(options, handler),
    close: async () => {
      if (isLast()) await shared.pool.close()
    },
    destroy: async () => {
      if (isLast()) await shared.pool.destroy()
    },
  }
}

function openPool({ origin, connectMs, firstByteMs }: PoolSettings): Pool {
  return new Pool(origin, {
    // As many as its users ask for: a limit here would let one that hangs starve the others.
    connections: null,
    pipelining: 1,
    connect: connectorFor(origin, connectMs) ?? { timeout: connectMs },
    headersTimeout: firstByteMs,
    bodyTimeout: firstByteMs,
    // Below the five seconds at which common servers close an idle connection, so that none is used while it closes.
    keepAliveTimeout: 4_000,
    maxResponseSize: -1,
  })
}
