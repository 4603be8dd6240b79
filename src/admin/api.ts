// The admin API: paths and JSON over `Control`. Decides nothing about versions and holds no state.
import type { HttpBindings } from '@hono/node-server'
import { type Context, Hono, type MiddlewareHandler } from 'hono'
import { accepts } from 'hono/accepts'
import { bodyLimit } from 'hono/body-limit'
import { asUnderstudyError, UnderstudyError } from '../errors.ts'
import { CONTENT_SECURITY_POLICY, reportHtml } from '../report/html/page.ts'
import { cleanRequestId, REQUEST_ID_FORM } from '../serving/headers.ts'
import {
  MirrorBody,
  PauseBody,
  PromoteBody,
  ResumeBody,
  RollbackBody,
  readBody,
  readLast,
  VersionBody,
  WeightBody,
} from './body.ts'
import type { Request as Change, Control } from './control.ts'
import { tracesHandler, tracesRefused } from './traces.ts'

export interface AdminApiOptions {
  readonly control: Control
  /** Before every path but /livez and /readyz, which probes ask without a token. */
  readonly guard: MiddlewareHandler<{ Bindings: HttpBindings }>
  /** Hears of failures that nobody foresaw; the caller is told "internal error" only. */
  readonly onInternalError?: (error: unknown) => void
}

type Env = { Bindings: HttpBindings }

const MAX_BODY_BYTES = 64 * 1024
const MAX_LABEL_BYTES = 4 * 1024 * 1024
const OWN_BOUNDS = new Set(['/v1/labels', '/v1/traces'])
const IDEMPOTENCY_KEY = /^[A-Za-z0-9._:-]{1,128}$/
const OPENMETRICS = 'application/openmetrics-text'
const ROUTE_PATHS = ['promote', 'rollback', 'abort', 'clear', 'weight', 'pause', 'resume'] as const

export function createAdminApi({ control, guard, onInternalError }: AdminApiOptions): Hono<Env> {
  const app = new Hono<Env>()
  const unforeseen = (error: unknown) => onInternalError?.(error)
  app.use(securityHeaders)
  app.get('/livez', context => context.text('ok'))
  app.get('/readyz', context => (control.ready() ? context.text('ok') : context.text('not ready', 503)))
  app.use(guard)
  app.use('/v1/labels', limitedTo(MAX_LABEL_BYTES))
  app.use(async (context, next) => (OWN_BOUNDS.has(context.req.path) ? next() : smallBody(context, next)))
  app.use(requireJson)

  app.get('/metrics', async context => {
    // Exemplars stand in OpenMetrics alone, which Prometheus asks for; a person with a browser gets plain text.
    const type = accepts(context, { header: 'Accept', supports: [OPENMETRICS, 'text/plain'], default: 'text/plain' })
    const { body, contentType } = await control.metrics(type === OPENMETRICS ? 'openmetrics' : 'plain')
    return context.body(body, 200, { 'content-type': contentType })
  })
  app.get('/v1/status', context => json(context, control.status()))
  app.get('/v1/routes/:route/report', context => {
    const format = context.req.query('format') ?? 'json'
    if (format !== 'json' && format !== 'html')
      throw new UnderstudyError('BAD_REQUEST', 'format: expected json or html')
    const report = control.report(...candidateOf(context))
    if (format === 'json') return json(context, report)
    context.header('content-security-policy', `${CONTENT_SECURITY_POLICY}; frame-ancestors 'none'`)
    return context.body(reportHtml(report), 200, { 'content-type': 'text/html; charset=utf-8' })
  })
  app.get('/v1/routes/:route/gate', context => json(context, control.gate(...candidateOf(context))))
  app.get('/v1/routes/:route/evidence', context => json(context, control.evidence(...candidateOf(context))))
  app.get('/v1/history', context =>
    json(context, { entries: control.history(context.req.query('route'), readLast(context.req.query('last'))) }),
  )

  app.get('/v1/requests/:id', async context => {
    const found = await control.explain(requestIdOf(context), context.req.query('route') || undefined)
    return json(context, found)
  })

  app.post('/v1/routes/:route/promote', async context => {
    const body = readBody(PromoteBody, await context.req.text())
    return json(context, await control.promote(routeOf(context), body.candidate, changeOf(context, body)))
  })
  app.post('/v1/routes/:route/rollback', async context => {
    const body = readBody(RollbackBody, await context.req.text())
    return json(context, await control.rollback(routeOf(context), changeOf(context, body)))
  })
  app.post('/v1/routes/:route/abort', async context => {
    const body = readBody(VersionBody, await context.req.text())
    return json(context, await control.abort(routeOf(context), body.version, changeOf(context, body)))
  })
  app.post('/v1/routes/:route/clear', async context => {
    const body = readBody(VersionBody, await context.req.text())
    return json(context, await control.clear(routeOf(context), body.version, changeOf(context, body)))
  })
  app.post('/v1/routes/:route/pause', async context => {
    const body = readBody(PauseBody, await context.req.text())
    return json(context, await control.pause(routeOf(context), changeOf(context, body)))
  })
  app.post('/v1/routes/:route/resume', async context => {
    const body = readBody(ResumeBody, await context.req.text())
    return json(context, await control.resume(routeOf(context), changeOf(context, body)))
  })
  app.post('/v1/routes/:route/weight', async context => {
    const body = readBody(WeightBody, await context.req.text())
    return json(context, await control.setWeight(routeOf(context), body.version, body.weight, changeOf(context, body)))
  })
  app.post('/v1/mirror', async context => {
    const body = readBody(MirrorBody, await context.req.text())
    await control.mirror(body.on, body.route, changeOf(context, body))
    return json(context, { on: body.on, route: body.route, dryRun: body.dryRun })
  })
  app.post('/v1/labels', async context => {
    const { status, body } = await control.labels(new Uint8Array(await context.req.arrayBuffer()))
    // Hono's status type lists the standard codes; ours come from the error table.
    return context.body(body, status as 200, { 'content-type': 'application/json' })
  })

  app.post('/v1/traces', tracesHandler(control, unforeseen))

  app.notFound(context => {
    const allowed = allowedMethods(context.req.path)
    if (allowed === undefined) return failure(context, new UnderstudyError('UNKNOWN_PATH', 'unknown path'))
    context.header('allow', allowed)
    return failure(context, new UnderstudyError('BAD_METHOD', `method ${context.req.method} is not allowed here`))
  })
  app.onError((error, context) => {
    if (context.req.path === '/v1/traces') return tracesRefused(context, error, unforeseen)
    const known = asUnderstudyError(error)
    if (known.code === 'INTERNAL') unforeseen(error)
    return failure(context, known)
  })
  return app
}

const securityHeaders: MiddlewareHandler<Env> = async (context, next) => {
  await next()
  const { headers } = context.res
  headers.set('x-content-type-options', 'nosniff')
  headers.set('x-frame-options', 'DENY')
  headers.set('referrer-policy', 'no-referrer')
  headers.set('cross-origin-resource-policy', 'same-origin')
  // A page says itself what its own style is; nothing else may load anything.
  if (!headers.has('content-security-policy')) {
    const nothing = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    headers.set('content-security-policy', nothing)
  }
  headers.set('cache-control', 'no-store')
}

function limitedTo(maxSize: number): MiddlewareHandler<Env> {
  return bodyLimit({
    maxSize,
    onError: () => {
      throw new UnderstudyError('TOO_LARGE', `the body is larger than ${maxSize} bytes`)
    },
  })
}

const smallBody = limitedTo(MAX_BODY_BYTES)

/** A form of another site can only send three content types, and JSON is none of them. */
const requireJson: MiddlewareHandler<Env> = async (context, next) => {
  // OTLP's types are checked where they are read; a form of another site can send neither of them.
  if (context.req.method !== 'POST' || context.req.path === '/v1/traces') return next()
  const type = context.req.header('content-type')?.split(';')[0]?.trim().toLowerCase()
  const isJson = type === 'application/json' || (type === 'application/x-ndjson' && context.req.path === '/v1/labels')
  if (!isJson) throw new UnderstudyError('BAD_REQUEST', 'expected content-type: application/json')
  return next()
}

function routeOf(context: Context<Env>): string {
  return context.req.param('route') as string
}

/** @throws BAD_REQUEST for what no request can have as its id */
function requestIdOf(context: Context<Env>): string {
  const requestId = cleanRequestId(context.req.param('id'))
  if (requestId !== undefined) return requestId
  throw new UnderstudyError('BAD_REQUEST', `request id: expected ${REQUEST_ID_FORM}`)
}

function candidateOf(context: Context<Env>): [route: string, candidate: string | undefined] {
  const candidate = context.req.query('candidate')
  return [routeOf(context), candidate === '' ? undefined : candidate]
}

function changeOf(
  context: Context<Env>,
  { who, reason, dryRun }: { who: string; reason: string; dryRun: boolean },
): Change {
  const idempotencyKey = context.req.header('idempotency-key')
  if (idempotencyKey !== undefined && !IDEMPOTENCY_KEY.test(idempotencyKey))
    throw new UnderstudyError(
      'BAD_REQUEST',
      'Idempotency-Key: expected up to 128 letters, digits, dots, colons and dashes',
    )
  return { who, reason, dryRun, idempotencyKey }
}

/** Counters are maps, which JSON would show as `{}`; numbers that it lacks, such as an infinite limit, become null. */
function json(context: Context<Env>, value: object): Response {
  // Asking for each of ten thousand numbers of a report costs three times as much as writing them.
  const text = holdsMap(value)
    ? JSON.stringify(value, (_key, inner: unknown) => (inner instanceof Map ? Object.fromEntries(inner) : inner))
    : JSON.stringify(value)
  return context.body(text, 200, { 'content-type': 'application/json' })
}

/** Loops and not `some`: of a report's thousands of pairs nothing is called for each number. */
function holdsMap(value: object): boolean {
  if (value instanceof Map) return true
  if (Array.isArray(value)) {
    for (const inner of value) if (typeof inner === 'object' && inner !== null && holdsMap(inner)) return true
    return false
  }
  for (const key in value) {
    const inner = (value as Record<string, unknown>)[key]
    if (typeof inner === 'object' && inner !== null && holdsMap(inner)) return true
  }
  return false
}

function failure(context: Context<Env>, { code, message, status }: UnderstudyError): Response {
  return context.json({ error: message, code }, status as 400)
}

/** The methods of a known path; undefined for others. */
function allowedMethods(path: string): string | undefined {
  if (/^\/(livez|readyz|metrics|v1\/status|v1\/history)$/.test(path)) return 'GET'
  if (/^\/v1\/requests\/[^/]+$/.test(path)) return 'GET'
  if (/^\/v1\/(mirror|labels|traces)$/.test(path)) return 'POST'
  const last = /^\/v1\/routes\/[^/]+\/([a-z]+)$/.exec(path)?.[1]
  if (last === 'report' || last === 'gate' || last === 'evidence') return 'GET'
  return ROUTE_PATHS.some(name => name === last) ? 'POST' : undefined
}
