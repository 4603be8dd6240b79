// What the data plane's paths may ask of the serving thread that they stand on.
import type { HttpBindings } from '@hono/node-server'
import type { Hono } from 'hono'
import type { Runtime } from './runtime.ts'

export interface DataPlane {
  readonly runtime: () => Runtime
  readonly draining: () => boolean
  /** Hands labels to the control thread; the answer comes when they are kept. */
  readonly sendLabels: (body: Uint8Array) => Promise<{ status: number; body: string }>
  /** What all serving threads counted, by `route/version`. */
  readonly statistics: () => Promise<Readonly<Record<string, VersionStatistics>>>
}

export type App = Hono<{ Bindings: HttpBindings }>

/** Since the gateway started. */
export interface VersionStatistics {
  readonly succeeded: number
  readonly failed: number
  /** Time in the model, ms. */
  readonly inferMs: number
  /** Milliseconds since the Unix epoch; 0: never. */
  readonly lastMs: number
}
