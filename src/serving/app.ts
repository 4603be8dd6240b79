// The data plane beside predictions: health, metadata, labels and what does not exist. Routed by hono.
import type { HttpBindings } from '@hono/node-server'
import { Hono } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import { ERRORS } from '../errors.ts'
import { encodeError } from '../protocols/openInference.ts'
import { VERSION } from '../version.ts'
import type { Runtime, RuntimeRoute } from './runtime.ts'

export interface DataPlane {
  readonly runtime: () => Runtime
  readonly draining: () => boolean
  /** Hands labels to the control thread; the answer comes when they are kept. */
  readonly sendLabels: (body: Uint8Array) => Promise<{ status: number; body: string }>
}

const MAX_LABEL_BYTES = 4 * 1024 * 1024

export function createDataPlane(plane: DataPlane): Hono<{ Bindings: HttpBindings }> {
  const app = new Hono<{ Bindings: HttpBindings }>()
  const isReady = () => !plane.draining() && [...plane.runtime().routes.values()].every(routeReady)

  app.get('/livez', context => context.text('ok'))
  app.get('/readyz', context => (isReady() ? context.text('ok') : context.text('not ready', 503)))
  app.get('/v2/health/live', context => context.json({ live: true }))
  app.get('/v2/health/ready', context => context.json({ ready: isReady() }, isReady() ? 200 : 503))
  app.get('/v2', context => context.json(SERVER))
  app.get('/v2/', context => context.json(SERVER))
  for (const path of ['/v2/models/:model', '/v2/models/:model/versions/:version']) {
    app.get(path, context => {
      const route = plane.runtime().routes.get(context.req.param('model') as string)
      if (route === undefined)
        return context.json({ error: `unknown model "${shorten(context.req.param('model'))}"` }, 404)
      const wanted = context.req.param('version') as string | undefined
      const version = wanted === undefined ? route.live : route.versions.find(each => each.snapshot.version === wanted)
      if (version === undefined)
        return context.json({ error: `model "${route.snapshot.name}" has no version "${shorten(wanted)}"` }, 404)
      return context.json(metadata(route, version.snapshot))
    })
    app.get(`${path}/ready`, context => {
      const route = plane.runtime().routes.get(context.req.param('model') as string)
      if (route === undefined)
        return context.json({ error: `unknown model "${shorten(context.req.param('model'))}"` }, 404)
      const wanted = context.req.param('version') as string | undefined
      const version = wanted === undefined ? route.live : route.versions.find(each => each.snapshot.version === wanted)
      if (version === undefined)
        return context.json({ error: `model "${route.snapshot.name}" has no version "${shorten(wanted)}"` }, 404)
      const ready = version.broken === undefined && version.snapshot.target.kind !== 'traced' && !plane.draining()
      return context.json({ name: route.snapshot.name, ready }, ready ? 200 : 503)
    })
  }
  const bounded = bodyLimit({
    maxSize: MAX_LABEL_BYTES,
    onError: context => context.json({ error: `more than ${MAX_LABEL_BYTES} bytes of labels in one request` }, 413),
  })
  app.post('/v1/labels', bounded, async context => {
    const answer = await plane.sendLabels(new Uint8Array(await context.req.arrayBuffer()))
    // Hono's status type lists the standard codes; ours come from the error table.
    return context.body(answer.body, answer.status as 200, { 'content-type': 'application/json' })
  })
  app.notFound(context => {
    // A prediction that comes here has a path that could not be read.
    const isInfer = context.req.method === 'POST' && context.req.path.endsWith('/infer')
    const known = !isInfer && KNOWN_PATHS.some(pattern => pattern.test(context.req.path))
    return known
      ? context.json({ error: `method ${context.req.method} is not allowed here` }, ERRORS.BAD_METHOD.status)
      : context.json({ error: 'unknown path' }, ERRORS.UNKNOWN_PATH.status)
  })
  app.onError((_error, context) =>
    context.body(encodeError('internal error'), 500, { 'content-type': 'application/json' }),
  )
  return app
}

const PLATFORM = { onnx: 'onnxruntime_onnxv1', url: 'http_v2', traced: 'served_elsewhere' } as const
const SERVER = { name: 'understudy', version: VERSION, extensions: [] as string[] }
const KNOWN_PATHS = [
  /^\/v2\/models\/[^/]+(\/versions\/[^/]+)?(\/infer|\/ready)?$/,
  /^\/v1\/labels$/,
  /^\/(livez|readyz|v2\/?)$/,
  /^\/v2\/health\/(live|ready)$/,
]

function routeReady(route: RuntimeRoute): boolean {
  return route.live.broken === undefined
}

function metadata(route: RuntimeRoute, version: RuntimeRoute['live']['snapshot']): object {
  const { target } = version
  return {
    name: route.snapshot.name,
    versions: route.versions.map(each => each.snapshot.version),
    platform: PLATFORM[target.kind],
    inputs: target.kind === 'onnx' ? target.inputs : [],
    outputs: target.kind === 'onnx' ? target.outputs : [],
  }
}

function shorten(text: string | undefined): string {
  return (text ?? '').slice(0, 128)
}
