// Routes served elsewhere, snapshots of them and spans of their predictions, through the real schema and registry.
import { parseRoutes } from '../../src/config/load.ts'
import { ModelRegistry } from '../../src/control/models.ts'
import { buildSnapshot } from '../../src/control/snapshot.ts'
import type { Snapshot } from '../../src/rollout/snapshot.ts'
import type { ReadSpan, SpanValue } from '../../src/telemetry/readSpans.ts'
import type { TracedRoute } from '../../src/traced/observe.ts'
import { routeParts } from '../control/routeParts.ts'

export const SPANS = { name: 'predict', version: 'version', output: 'prediction', request: 'request', within: '60s' }

const VERSIONS = {
  '1.0.0': { traced: true, weight: 100 },
  '1.1.0': { traced: true, shadow: 100 },
}

/** A route `churn` with live 1.0.0; `more` are further keys of it. The evidence key of a candidate is its version. */
export async function tracedSnapshot(more: Record<string, unknown> = {}): Promise<Snapshot> {
  const route = { live: '1.0.0', versions: VERSIONS, spans: SPANS, ...more }
  const config = parseRoutes(JSON.stringify({ routes: { churn: route } }), 'routes.yaml', {})
  const parsed = config.routes.churn!
  const never = () => Promise.reject(new Error('nobody looks at what is served elsewhere'))
  const models = new ModelRegistry({ verify: never, identities: { of: never }, warn: () => {} })
  await models.inspect('models', 'churn', parsed.versions)
  const names = Object.keys(parsed.versions)
  const shadows = names.filter(name => name !== parsed.live && parsed.versions[name]!.shadow.percent > 0)
  const keys = new Map(shadows.map(name => [name, name]))
  return buildSnapshot(1, config, [
    routeParts('churn', parsed, { known: version => models.known('churn', version), keys }),
  ])
}

export async function tracedRoute(keys: Record<string, unknown> = {}): Promise<TracedRoute> {
  return (await tracedSnapshot(keys)).routes[0] as TracedRoute
}

export function traceIdOf(index: number): string {
  return (index + 1).toString(16).padStart(32, '0')
}

export interface Told {
  readonly isError?: boolean
  readonly durationMs?: number
  readonly attributes?: Readonly<Record<string, SpanValue>>
}

/** The span of one prediction; an undefined prediction leaves the attribute out. */
export function predicted(
  trace: number,
  version: string,
  prediction: SpanValue | undefined,
  told: Told = {},
): ReadSpan {
  return {
    traceId: traceIdOf(trace),
    spanId: 'aaaaaaaaaaaaaaaa',
    instance: '',
    parentSpanId: '',
    name: 'predict',
    kind: 1,
    startMs: 1_000,
    endMs: 1_000 + (told.durationMs ?? 4),
    attributes: { version, ...(prediction === undefined ? {} : { prediction }), ...told.attributes },
    isError: told.isError ?? false,
    service: 'scorer',
  }
}
