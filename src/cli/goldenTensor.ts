// Writes a tensor as a manifest holds it: plain numbers, texts and booleans, as short as they can be without loss.
import type { Manifest } from '../models/manifest.ts'
import type { Tensor } from '../protocols/tensor.ts'

type GoldenTensor = Manifest['golden']['vectors'][number]['inputs'][number]

/** Undefined: it holds a NaN or an infinity, for which a manifest has no word. */
export function goldenTensor({ name, datatype, shape, data }: Tensor): GoldenTensor | undefined {
  const values = Array.from(data as ArrayLike<number | bigint | string>, value => {
    if (typeof value === 'bigint') return Number.isSafeInteger(Number(value)) ? Number(value) : String(value)
    if (typeof value === 'string') return value
    if (datatype === 'BOOL') return value !== 0
    return datatype === 'FP32' ? shortest(value) : value
  })
  if (values.some(value => typeof value === 'number' && !Number.isFinite(value))) return undefined
  return { name, datatype, shape: [...shape], data: values }
}

/** The shortest decimal that is the same float32: 0.10000000149011612 → 0.1. */
function shortest(value: number): number {
  for (let digits = 6; digits <= 9; digits++) {
    const decimal = Number(value.toPrecision(digits))
    if (Math.fround(decimal) === value) return decimal
  }
  return value
}
