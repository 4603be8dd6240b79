// What TensorFlow Serving's and KServe V1's clients ask beside predictions: which models there are, and what they take.
import type { TensorShape } from '../protocols/tensor.ts'
import type { App, DataPlane } from './dataPlane.ts'
import { onVersion, signatureOf } from './modelPaths.ts'

export function addV1Paths(app: App, plane: DataPlane): void {
  app.get('/', context => context.json({ status: 'alive' }))
  app.get('/v1/models', context => context.json({ models: [...plane.runtime().routes.keys()] }))
  for (const path of [
    '/v1/models/:model',
    '/v1/models/:model/versions/:version',
    '/v1/models/:model/labels/:version',
  ]) {
    // One answer for both: KServe reads name and ready, TensorFlow Serving's clients the states.
    app.get(path, context =>
      // Predictions are posted to the same path with a verb behind it.
      context.req.path.includes(':')
        ? context.notFound()
        : onVersion(context, plane, async (route, version) => {
            const isOne = context.req.param('version') !== undefined
            const ready = version.broken === undefined && !plane.draining()
            return context.json(
              {
                name: route.snapshot.name,
                ready,
                model_version_status: (isOne ? [version] : route.versions).map(({ snapshot, broken }) => ({
                  version: snapshot.version,
                  state: broken === undefined ? 'AVAILABLE' : 'END',
                  status: { error_code: broken === undefined ? 'OK' : 'UNAVAILABLE', error_message: broken ?? '' },
                })),
              },
              ready ? 200 : 503,
            )
          }),
    )
    app.get(`${path}/metadata`, context =>
      onVersion(context, plane, async (route, version) => {
        const { inputs, outputs } = await signatureOf(version)
        return context.json({
          model_spec: { name: route.snapshot.name, signature_name: '', version: version.snapshot.version },
          metadata: {
            signature_def: {
              signature_def: {
                serving_default: {
                  inputs: tensorInfos(inputs),
                  outputs: tensorInfos(outputs),
                  method_name: 'tensorflow/serving/predict',
                },
              },
            },
          },
        })
      }),
    )
  }
}

/** TensorInfo by name, as protobuf's JSON form writes it: 64-bit integers are text. */
function tensorInfos(tensors: readonly TensorShape[]): Record<string, object> {
  return Object.fromEntries(
    tensors.map(({ name, datatype, shape }) => [
      name,
      {
        dtype: DTYPES[datatype],
        tensor_shape: { dim: shape.map(size => ({ size: String(size), name: '' })), unknown_rank: false },
        name,
      },
    ]),
  )
}

const DTYPES = {
  BOOL: 'DT_BOOL',
  UINT8: 'DT_UINT8',
  UINT16: 'DT_UINT16',
  UINT32: 'DT_UINT32',
  UINT64: 'DT_UINT64',
  INT8: 'DT_INT8',
  INT16: 'DT_INT16',
  INT32: 'DT_INT32',
  INT64: 'DT_INT64',
  FP16: 'DT_HALF',
  FP32: 'DT_FLOAT',
  FP64: 'DT_DOUBLE',
  BYTES: 'DT_STRING',
} as const
