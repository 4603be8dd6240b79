// Embedded ONNX models: sessions of onnxruntime-node, tensors in and out. The only door to that library.
import { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node'
import { messageOf, UnderstudyError } from '../errors.ts'
import type { TensorSpec } from '../models/manifest.ts'
import { checkInputs } from '../protocols/checkTensors.ts'
import type { Datatype, Tensor, TensorData } from '../protocols/tensor.ts'
import type { ScoreOutcome, Scorer } from './scorer.ts'
import { outcomeOf, type Ran, SharedRuns } from './sharedRuns.ts'

const ORT_TYPES: Partial<Record<Datatype, string>> = {
  BOOL: 'bool',
  UINT8: 'uint8',
  UINT16: 'uint16',
  UINT32: 'uint32',
  UINT64: 'uint64',
  INT8: 'int8',
  INT16: 'int16',
  INT32: 'int32',
  INT64: 'int64',
  FP16: 'float16',
  FP32: 'float32',
  FP64: 'float64',
  BYTES: 'string',
}
const DATATYPES: Record<string, Datatype> = Object.fromEntries(
  Object.entries(ORT_TYPES).map(([datatype, type]) => [type, datatype as Datatype]),
)

export interface OnnxSignature {
  readonly inputs: readonly TensorSpec[]
  readonly outputs: readonly TensorSpec[]
}

export interface OnnxScorer extends Scorer {
  readonly signature: OnnxSignature
}

/**
 * A session over the model's bytes. Creating it blocks this thread (2–70 ms, by model and machine), and every score for its
 * length. From bytes and not from a path, so that what was hashed is what loads and external data cannot be reached.
 * @throws MODEL_BROKEN when the bytes are not a model that this runtime can load
 */
export async function createOnnxScorer(bytes: Uint8Array): Promise<OnnxScorer> {
  let session: InferenceSession
  try {
    session = await InferenceSession.create(bytes, {
      intraOpNumThreads: 1,
      interOpNumThreads: 1,
      executionMode: 'sequential',
      logSeverityLevel: 4,
    })
  } catch (cause) {
    throw new UnderstudyError('MODEL_BROKEN', `the ONNX model does not load: ${messageOf(cause).slice(0, 200)}`, {
      cause,
    })
  }
  const signature = { inputs: specs(session.inputMetadata), outputs: specs(session.outputMetadata) }
  let underWay = 0
  let closing: (() => void) | undefined
  let closed = false
  const run = (inputsOf: () => readonly Tensor[]) => runOnce(session, signature, inputsOf)
  const shared = new SharedRuns(run)
  return {
    signature,
    async score(inputs, deadlineMs, asked) {
      if (closed) return notReady()
      try {
        // onnxruntime ignores extra inputs in silence and its errors carry no code, so everything is checked first.
        if (asked?.checked !== true) checkInputs(inputs, signature.inputs)
      } catch (error) {
        return { ok: false, code: 'BAD_TENSOR', message: messageOf(error), inferMs: 0, queueMs: 0 }
      }
      underWay++
      try {
        if (asked?.shares === true) return await shared.score(inOrder(inputs, signature), deadlineMs)
        const calledAt = performance.now()
        return outcomeOf(await run(() => inputs), { calledAt, deadlineMs })
      } finally {
        underWay--
        if (underWay === 0) closing?.()
      }
    },
    async close() {
      if (closed) return
      closed = true
      // release() with a run pending rejects that run, so what is under way ends first.
      if (underWay > 0) await new Promise<void>(resolve => (closing = resolve))
      await session.release()
    },
  }
}

/**
 * session.run, its error as data. run() works synchronously inside a setImmediate; the one here is queued before it, and
 * so is the last moment at which its feeds can be filled, and marks its start.
 */
async function runOnce(
  session: InferenceSession,
  signature: OnnxSignature,
  inputsOf: () => readonly Tensor[],
): Promise<Ran> {
  let startedAt = performance.now()
  // run() looks for the names at once and for the tensors later; where it ever does not, it fails at these.
  const feeds: Record<string, OrtTensor> = {}
  for (const { name } of signature.inputs) feeds[name] = null as unknown as OrtTensor
  setImmediate(() => {
    try {
      for (const input of inputsOf()) feeds[input.name] = toOrt(input)
    } catch {
      // What cannot be filled in fails the run, whose error is told.
    }
    startedAt = performance.now()
  })
  try {
    const results = await session.run(feeds)
    const endedAt = performance.now()
    const outputs = signature.outputs.map(({ name }) => fromOrt(name, results[name]!))
    return { startedAt, endedAt, outputs }
  } catch (error) {
    return { startedAt, endedAt: performance.now(), error: `the model failed: ${firstLine(error)}` }
  }
}

/** The inputs in the model's order; clients may send another. */
function inOrder(inputs: readonly Tensor[], { inputs: specs }: OnnxSignature): readonly Tensor[] {
  if (inputs.every(({ name }, index) => name === specs[index]!.name)) return inputs
  return specs.map(spec => inputs.find(({ name }) => name === spec.name)!)
}

function notReady(): ScoreOutcome {
  return { ok: false, code: 'VERSION_NOT_READY', message: 'the model is closed', inferMs: 0, queueMs: 0 }
}

function toOrt(tensor: Tensor): OrtTensor {
  const type = ORT_TYPES[tensor.datatype] as 'float32'
  // onnxruntime's constructor is typed per element type; the pair was made from one table.
  const given = new OrtTensor(type, tensor.data as Float32Array, tensor.shape)
  const { data } = tensor
  if (data instanceof Float16Array) {
    // onnxruntime-node 1.30 takes a Float16Array for empty (microsoft/onnxruntime#32323) and makes one of a Uint16Array.
    Object.defineProperty(given, 'data', { value: new Uint16Array(data.buffer, data.byteOffset, data.length) })
  }
  return given
}

function fromOrt(name: string, tensor: OrtTensor): Tensor {
  const datatype = DATATYPES[tensor.type]!
  const data = tensor.type === 'bool' ? Uint8Array.from(tensor.data as Uint8Array) : (tensor.data as TensorData)
  return { name, datatype, shape: tensor.dims, data }
}

function specs(metadata: readonly InferenceSession.ValueMetadata[]): TensorSpec[] {
  return metadata.map(value => {
    if (!value.isTensor) {
      throw new UnderstudyError('MODEL_BROKEN', `"${value.name}" is not a tensor (export with zipmap=False)`)
    }
    const datatype = DATATYPES[value.type]
    if (datatype === undefined)
      throw new UnderstudyError('MODEL_BROKEN', `"${value.name}" has type ${value.type}, not supported`)
    return {
      name: value.name,
      datatype,
      shape: value.shape.map(dimension => (typeof dimension === 'number' && dimension >= 0 ? dimension : -1)),
    }
  })
}

function firstLine(error: unknown): string {
  // onnxruntime's texts name its source files and lines, after the node's name and in further lines.
  return (messageOf(error).split('\n')[0] ?? '')
    .replace(/\s*(Name:|Status Message:|\S+\.(h|cc|cpp):\d+).*$/, '')
    .slice(0, 160)
}
