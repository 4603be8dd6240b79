// What a tensor is inside Understudy: a name, a datatype of the Open Inference Protocol, a shape and flat row-major data.

/** Datatypes of the Open Inference Protocol V2 (kserve/open-inference-protocol, inference_rest.md). */
export const DATATYPES = [
  'BOOL',
  'UINT8',
  'UINT16',
  'UINT32',
  'UINT64',
  'INT8',
  'INT16',
  'INT32',
  'INT64',
  'FP16',
  'FP32',
  'FP64',
  'BYTES',
] as const
export type Datatype = (typeof DATATYPES)[number]

/** Flat row-major values. 64-bit integers are BigInt arrays so that nothing is rounded; BYTES are strings. */
export type TensorData =
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | BigUint64Array
  | BigInt64Array
  | Float16Array
  | Float32Array
  | Float64Array
  | readonly string[]

interface ElementArray {
  new (length: number): Exclude<TensorData, readonly string[]>
  new (buffer: ArrayBuffer): Exclude<TensorData, readonly string[]>
  readonly BYTES_PER_ELEMENT: number
}

/** The array that holds a datatype's values; its element size is also that of the raw tensors of V2. BYTES has no fixed size. */
export const ELEMENT_ARRAYS: Readonly<Record<Exclude<Datatype, 'BYTES'>, ElementArray>> = {
  BOOL: Uint8Array,
  UINT8: Uint8Array,
  UINT16: Uint16Array,
  UINT32: Uint32Array,
  UINT64: BigUint64Array,
  INT8: Int8Array,
  INT16: Int16Array,
  INT32: Int32Array,
  INT64: BigInt64Array,
  FP16: Float16Array,
  FP32: Float32Array,
  FP64: Float64Array,
}

/** What one input or output of a model must look like; −1 is a dynamic dimension. */
export interface TensorShape {
  readonly name: string
  readonly datatype: Datatype
  readonly shape: readonly number[]
}

export interface Tensor {
  readonly name: string
  readonly datatype: Datatype
  readonly shape: readonly number[]
  readonly data: TensorData
  /** V2's parameters of this tensor, without those of the binary extension; passed on as they came. */
  readonly parameters?: Readonly<Record<string, unknown>>
}

/** The product of the dimensions: the number of elements of a tensor of this shape; 1 for a scalar. */
export function elementCount(shape: readonly number[]): number {
  let count = 1
  for (const dimension of shape) count *= dimension
  return count
}

/** The element at `index` as a number; BigInts are converted (exact only inside ±2^53), strings parse or give NaN. */
export function numberAt(data: TensorData, index: number): number {
  const value = data[index]
  return typeof value === 'number' ? value : Number(value)
}
