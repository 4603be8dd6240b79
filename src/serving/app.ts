// The data plane beside predictions: health, labels and what does not exist. Routed by hono.
import { type Context, Hono, type MiddlewareHandler } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import { ERRORS } from '../errors.ts'
import { encodeError } from '../protocols/openInference.ts'
import { VERSION } from '../version.ts'
import type { App, DataPlane } from './dataPlane.ts'
import { addModelPaths, routeReady } from './modelPaths.ts'
import { addV1Paths } from './v1Paths.ts'

const MAX_LABEL_BYTES = 4 * 1024 * 1024

export function createDataPlane(plane: DataPlane): App {
  const app: App = new Hono()
  const isReady = () => !plane.draining() && [...plane.runtime().routes.values()].every(routeReady)

  app.get('/livez', context => context.text('ok'))
  app.get('/readyz', context => (isReady() ? context.text('ok') : context.text('not ready', 503)))
  // MLflow's scoring server and SageMaker's containers are asked here.
  for (const path of ['/ping', '/health']) {
    app.get(path, context => (isReady() ? context.text('\n') : context.text('\n', 503)))
  }
  app.get('/version', context => context.text(VERSION))
  addModelPaths(app, plane, isReady)
  addV1Paths(app, plane)
  const bounded = bodyLimit({
    maxSize: MAX_LABEL_BYTES,
    onError: tooManyLabels,
  })
  app.post('/v1/labels', toldInTime, bounded, async context => {
    const answer = await plane.sendLabels(new Uint8Array(await context.req.arrayBuffer()))
    // Hono's status type lists the standard codes; ours come from the error table.
    return context.body(answer.body, answer.status as 200, { 'content-type': 'application/json' })
  })
  app.notFound(context => {
    const { method, path } = context.req
    const isPosted = POSTED.test(path) || plane.runtime().paths.has(path)
    const allowed = isPosted ? 'POST' : READ_PATHS.some(each => each.test(path)) ? 'GET, HEAD' : undefined
    // A POST that asks for a prediction and comes here has a path that could not be read.
    if (allowed === undefined || allowed === method)
      return context.json({ error: 'unknown path' }, ERRORS.UNKNOWN_PATH.status)
    context.header('allow', allowed)
    return context.json({ error: `method ${method} is not allowed here` }, ERRORS.BAD_METHOD.status)
  })
  app.onError((_error, context) =>
    context.body(encodeError('internal error'), 500, { 'content-type': 'application/json' }),
  )
  return app
}

/** Says that there are too many labels without touching their body: it would be cut off with the client still writing. */
const toldInTime: MiddlewareHandler = async (context, next) =>
  Number(context.req.header('content-length') ?? 0) > MAX_LABEL_BYTES ? tooManyLabels(context) : next()

function tooManyLabels(context: Context): Response {
  return context.json({ error: `more than ${MAX_LABEL_BYTES} bytes of labels in one request` }, 413)
}

const POSTED =
  /^(\/v2\/models\/[^/]+(\/versions\/[^/]+)?\/infer|\/v1\/models\/[^/]+(\/(versions|labels)\/[^/]+)?:[a-z]+|\/invocations|\/v1\/labels|\/v2\/repository\/(index|models\/[^/]+\/(load|unload)))$/
const READ_PATHS = [
  /^\/v2\/models\/[^/]+(\/versions\/[^/]+)?(\/ready|\/config|\/stats)?$/,
  /^\/v1\/models(\/[^/]+(\/(versions|labels)\/[^/]+)?(\/metadata)?)?$/,
  /^\/(livez|readyz|ping|health|version|v2\/?)?$/,
  /^\/v2\/health\/(live|ready)$/,
]
