// Writes tiny ONNX models by hand, with their manifests, so that tests can have a model of any datatype and behaviour.
import { createHash } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { stringify } from 'yaml'

const ELEMENT_TYPES = {
  FP32: 1,
  UINT8: 2,
  INT8: 3,
  UINT16: 4,
  INT16: 5,
  INT32: 6,
  INT64: 7,
  BYTES: 8,
  BOOL: 9,
  FP16: 10,
  FP64: 11,
  UINT64: 13,
  UINT32: 12,
} as const

export interface OneOpModel {
  /** ONNX operator of one input `x` and one output `y`, both of the same datatype. */
  readonly op: 'Identity' | 'Log' | 'Neg' | 'Floor' | 'ReduceSum' | 'Softmax' | 'LpNormalization'
  readonly datatype: keyof typeof ELEMENT_TYPES
  /** Columns of a row; the rows are dynamic. */
  readonly width: number
}

/**
 * The bytes of a model with one operator: `y[n, width] = op(x[n, width])`. `ReduceSum` gives one number, shape
 * [1, 1]; `Softmax` and `LpNormalization` go over the rows, so that each answer depends on all of them.
 */
export function onnxModel({ op, datatype, width }: OneOpModel): Buffer {
  const type = ELEMENT_TYPES[datatype]
  const value = (name: string, fixed: boolean) =>
    message(
      [1, name],
      [
        2,
        message([
          1,
          message([1, type], [2, message([1, fixed ? dim(1) : message([2, 'n'])], [1, dim(fixed ? 1 : width)])]),
        ]),
      ],
    )
  const sum = op === 'ReduceSum'
  const overRows = op === 'Softmax' || op === 'LpNormalization'
  const attribute = sum ? intAttribute('keepdims', 1) : overRows ? intAttribute('axis', 0) : undefined
  const node = message([1, 'x'], [2, 'y'], [4, op], ...(attribute === undefined ? [] : [[5, attribute] as const]))
  const graph = message([1, node], [2, 'g'], [11, value('x', false)], [12, value('y', sum)])
  return message([1, 8], [7, graph], [8, message([1, ''], [2, 13])])
}

/** Writes `folder/<name>/<version>/` with model.onnx and model.yaml. Returns the folder's name below `folder`. */
export async function writeModel(
  folder: string,
  name: string,
  version: string,
  model: OneOpModel,
  golden: { inputs: readonly (number | string)[]; outputs: readonly (number | string)[] },
  bytes = onnxModel(model),
): Promise<string> {
  const below = join(name, version)
  await mkdir(join(folder, below), { recursive: true })
  const { datatype, width } = model
  const shape = model.op === 'ReduceSum' ? [1, 1] : [-1, width]
  const manifest = {
    name,
    version,
    sha256: createHash('sha256').update(bytes).digest('hex'),
    signature: {
      inputs: [{ name: 'x', datatype, shape: [-1, width] }],
      outputs: [{ name: 'y', datatype, shape }],
    },
    golden: {
      tolerance: { absolute: 1e-6, relative: 1e-6 },
      vectors: [
        {
          inputs: [{ name: 'x', datatype, shape: [1, width], data: golden.inputs }],
          outputs: [{ name: 'y', datatype, shape: [1, golden.outputs.length], data: golden.outputs }],
        },
      ],
    },
  }
  await writeFile(join(folder, below, 'model.onnx'), bytes)
  await writeFile(join(folder, below, 'model.yaml'), stringify(manifest))
  return below
}

type Field = readonly [number: number, value: number | string | Buffer]

function intAttribute(name: string, value: number): Buffer {
  return message([1, name], [3, value], [20, 2])
}

function dim(value: number): Buffer {
  return message([1, value])
}

/** A protobuf message of varints, strings and messages. */
function message(...fields: readonly Field[]): Buffer {
  return Buffer.concat(
    fields.flatMap(([number, value]) => {
      if (typeof value === 'number') return [varint(number << 3), varint(value)]
      const bytes = Buffer.from(value as Buffer)
      return [varint((number << 3) | 2), varint(bytes.length), bytes]
    }),
  )
}

function varint(value: number): Buffer {
  const bytes: number[] = []
  while (value > 127) {
    bytes.push((value & 127) | 128)
    value >>>= 7
  }
  bytes.push(value)
  return Buffer.from(bytes)
}
