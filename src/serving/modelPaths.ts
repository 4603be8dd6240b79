// What V2 clients ask beside predictions: server and model metadata, readiness, configuration, statistics, the repository.
// Formats: kserve/open-inference-protocol inference_rest.md; Triton's model_configuration, statistics and model_repository.
import type { Context } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import type { Signature } from '../protocols/codec.ts'
import { signatureToClient } from '../protocols/rename.ts'
import type { TensorShape } from '../protocols/tensor.ts'
import { VERSION } from '../version.ts'
import type { App, DataPlane, VersionStatistics } from './dataPlane.ts'
import type { RuntimeRoute, RuntimeVersion } from './runtime.ts'

const EXTENSIONS = ['binary_tensor_data', 'model_configuration', 'statistics'] as const
const SIGNATURE_WAIT_MS = 2_000
const MOST_BODY_BYTES = 64 * 1024

const smallBody = bodyLimit({
  maxSize: MOST_BODY_BYTES,
  onError: context => context.json({ error: `the body is larger than ${MOST_BODY_BYTES} bytes` }, 413),
})

export function addModelPaths(app: App, plane: DataPlane, isReady: () => boolean): void {
  const server = () => ({ name: plane.runtime().snapshot.name, version: VERSION, extensions: EXTENSIONS })
  app.get('/v2/health/live', context => context.json({ live: true }))
  app.get('/v2/health/ready', context => context.json({ ready: isReady() }, isReady() ? 200 : 503))
  app.get('/v2', context => context.json(server()))
  app.get('/v2/', context => context.json(server()))
  app.get('/v2/models/stats', async (context, next) => {
    if (plane.runtime().routes.has('stats')) return next()
    const all = [...plane.runtime().routes.values()].flatMap(route =>
      route.versions.map(each => [route, each] as const),
    )
    const counted = await plane.statistics()
    return context.json({ model_stats: all.map(([route, each]) => statsOf(counted, route, each)) })
  })
  for (const path of ['/v2/models/:model', '/v2/models/:model/versions/:version']) {
    app.get(path, context =>
      onVersion(context, plane, async (route, version) => context.json(await metadata(route, version))),
    )
    app.get(`${path}/ready`, context =>
      onVersion(context, plane, async (route, version) => {
        const ready = version.broken === undefined && !plane.draining()
        return context.json({ name: route.snapshot.name, ready }, ready ? 200 : 503)
      }),
    )
    app.get(`${path}/config`, context =>
      onVersion(context, plane, async (route, version) => context.json(await configuration(route, version))),
    )
    app.get(`${path}/stats`, context =>
      onVersion(context, plane, async (route, version) => {
        const isOne = context.req.param('version') !== undefined
        const asked = isOne ? [version] : route.versions
        const counted = await plane.statistics()
        return context.json({ model_stats: asked.map(each => statsOf(counted, route, each)) })
      }),
    )
  }
  app.post('/v2/repository/index', smallBody, async context => {
    const asked = await context.req.json().catch(() => undefined)
    const onlyReady = asked?.ready === true
    const all = [...plane.runtime().routes.values()].flatMap(route =>
      route.versions.map(({ snapshot, broken }) => ({
        name: route.snapshot.name,
        version: snapshot.version,
        state: broken === undefined ? 'READY' : 'UNAVAILABLE',
        reason: broken ?? '',
      })),
    )
    return context.json(onlyReady ? all.filter(({ state }) => state === 'READY') : all)
  })
  for (const verb of ['load', 'unload']) {
    app.post(`/v2/repository/models/:model/${verb}`, context =>
      context.json({ error: `models cannot be ${verb}ed here: routes.yaml says which versions there are` }, 501),
    )
  }
}

/** Answers for the version that a path names: the live one where it names none. */
export async function onVersion(
  context: Context,
  plane: DataPlane,
  answer: (route: RuntimeRoute, version: RuntimeVersion) => Promise<Response>,
): Promise<Response> {
  const model = context.req.param('model') as string
  const wanted = context.req.param('version') as string | undefined
  const route = plane.runtime().routes.get(model)
  if (route === undefined) return context.json({ error: `unknown model "${model.slice(0, 128)}"` }, 404)
  const version = wanted === undefined ? route.live : route.versions.find(each => each.snapshot.version === wanted)
  if (version === undefined) {
    return context.json({ error: `model "${route.snapshot.name}" has no version "${wanted?.slice(0, 128)}"` }, 404)
  }
  return answer(route, version)
}

export function routeReady(route: RuntimeRoute): boolean {
  return route.live.broken === undefined || route.snapshot.spans !== undefined
}

/** In the clients' names; of a model server what it tells itself. */
export async function signatureOf({ signature, engine, snapshot }: RuntimeVersion): Promise<Signature> {
  const told = signature ?? (await engine?.signature?.of(SIGNATURE_WAIT_MS))
  if (told === undefined) return { inputs: [], outputs: [] }
  return signature === undefined ? signatureToClient(told, snapshot.rename) : told
}

export function platformOf({ snapshot: { target } }: RuntimeVersion): string {
  if (target.kind === 'traced') return 'served_elsewhere'
  return target.kind === 'onnx' ? 'onnxruntime_onnx' : `http_${target.protocol}`
}

async function metadata(route: RuntimeRoute, version: RuntimeVersion): Promise<object> {
  const { inputs, outputs } = await signatureOf(version)
  return {
    name: route.snapshot.name,
    versions: route.versions.map(each => each.snapshot.version),
    platform: platformOf(version),
    inputs: inputs.map(plainShape),
    outputs: outputs.map(plainShape),
  }
}

function plainShape({ name, datatype, shape }: TensorShape) {
  return { name, datatype, shape }
}

/** Triton's ModelConfig, as far as there is something to tell. Every dimension stands in `dims`: nothing is batched for the client. */
async function configuration(route: RuntimeRoute, version: RuntimeVersion): Promise<object> {
  const { inputs, outputs } = await signatureOf(version)
  const described = ({ name, datatype, shape }: TensorShape) => ({
    name,
    data_type: datatype === 'BYTES' ? 'TYPE_STRING' : `TYPE_${datatype}`,
    dims: shape,
  })
  return {
    name: route.snapshot.name,
    platform: platformOf(version),
    backend: version.snapshot.target.kind === 'onnx' ? 'onnxruntime' : 'http',
    version_policy: { specific: { versions: route.versions.map(each => each.snapshot.version) } },
    max_batch_size: 0,
    input: inputs.map(described),
    output: outputs.map(described),
  }
}

const NOTHING: VersionStatistics = { succeeded: 0, failed: 0, inferMs: 0, lastMs: 0 }

function statsOf(
  statistics: Readonly<Record<string, VersionStatistics>>,
  route: RuntimeRoute,
  { snapshot }: RuntimeVersion,
): object {
  const counted = statistics[`${route.snapshot.name}/${snapshot.version}`] ?? NOTHING
  const ns = Math.round(counted.inferMs * 1e6)
  const none = { count: 0, ns: 0 }
  return {
    name: route.snapshot.name,
    version: snapshot.version,
    last_inference: Math.round(counted.lastMs),
    inference_count: counted.succeeded,
    execution_count: counted.succeeded,
    inference_stats: {
      success: { count: counted.succeeded, ns },
      fail: { count: counted.failed, ns: 0 },
      queue: none,
      compute_input: none,
      compute_infer: { count: counted.succeeded, ns },
      compute_output: none,
    },
    batch_stats: [],
  }
}
