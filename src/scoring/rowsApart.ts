// Decides whether a model answers a row with the same bits whichever rows it is scored with. Knows no requests.
import type { Manifest } from '../models/manifest.ts'
import { joinInputs, splitOutputs } from '../protocols/rows.ts'
import type { Tensor } from '../protocols/tensor.ts'
import { tensorOf } from './golden.ts'
import type { OnnxScorer } from './onnx.ts'
import { MOST_ROWS } from './sharedRuns.ts'

const DEADLINE_MS = 10_000
/** Golden rows that are told apart. */
const MOST_GOLDEN = 24
/** Each golden row far away from where it stands: a model may look at other rows only past some limit. */
const FACTORS = [1, -1, 100]
/** Rows with values of several golden rows, half of them changed a little. */
const MIXED = 160
/** Of all rows: how many answers must differ, so that what is hidden from some shows in others. */
const LEAST_DIFFERENT = 32

/**
 * Whether every row is answered with the same bits alone and in runs of each length that requests may share. Libraries
 * choose other arithmetic for other lengths: of the models shipped here the linear ones fail, some of them by a last bit
 * in few rows. The choice is by length and place, not by value, so a few hundred rows show it, but only in real
 * numbers: a label hides it. False where the signature has another dynamic dimension than the first, and where the
 * answers are too few different ones.
 */
export async function keepsRowsApart(scorer: OnnxScorer, golden: Manifest['golden']): Promise<boolean> {
  const { inputs, outputs } = scorer.signature
  if (![...inputs, ...outputs].every(({ shape }) => shape[0] === -1 && !shape.includes(-1, 1))) return false
  const rows: (readonly Tensor[])[] = []
  const alone: (readonly Tensor[])[] = []
  const different = new Set<string>()
  for (const row of rowsOf(golden)) {
    const outcome = await scorer.score(row, DEADLINE_MS)
    // A row made up here may be one that the model does not take.
    if (!outcome.ok) continue
    rows.push(row)
    alone.push(outcome.outputs)
    different.add(outcome.outputs.filter(isReal).map(hexOf).join())
  }
  if (different.size < LEAST_DIFFERENT) return false
  for (let length = 2; length <= MOST_ROWS; length++) {
    const ones = Array<number>(length).fill(1)
    // From another row for each length, so that rows stand at other places.
    for (let from = length; from < rows.length + length; from += length) {
      const places = ones.map((_, at) => (from + at) % rows.length)
      const outcome = await scorer.score(joinInputs(places.map(at => rows[at]!)), DEADLINE_MS)
      const parts = outcome.ok ? splitOutputs(outcome.outputs, ones) : undefined
      if (parts === undefined || !parts.every((part, index) => areSame(part, alone[places[index]!]!))) return false
    }
  }
  return true
}

function rowsOf({ vectors }: Manifest['golden']): Tensor[][] {
  const given = vectors
    .flatMap(({ inputs }) => {
      const tensors = inputs.map(tensorOf)
      return splitOutputs(tensors, Array<number>(tensors[0]?.shape[0] ?? 0).fill(1)) ?? []
    })
    .slice(0, MOST_GOLDEN)
  if (given.length === 0) return []
  const random = sameNumbers()
  const mixed = Array.from({ length: MIXED }, (_, index) => mixedRow(given, random, index % 2 === 0))
  return [...FACTORS.flatMap(factor => given.map(row => row.map(each => changed(each, () => factor)))), ...mixed]
}

function mixedRow(given: readonly Tensor[][], random: () => number, isChanged: boolean): Tensor[] {
  const any = () => given[Math.floor(random() * given.length)]!
  return given[0]!.map((tensor, input) => {
    const data = tensor.data.slice() as unknown as number[]
    for (let at = 0; at < data.length; at++) data[at] = (any()[input]!.data as unknown as number[])[at]!
    const mixed = { ...tensor, data: data as unknown as Tensor['data'] }
    return isChanged ? changed(mixed, () => 0.5 + random()) : mixed
  })
}

/** Real numbers times a factor; anything else, which may be a category, as it is. */
function changed(tensor: Tensor, factor: () => number): Tensor {
  const { data } = tensor
  if (data instanceof Float32Array || data instanceof Float64Array || data instanceof Float16Array)
    return { ...tensor, data: data.map(value => value * factor()) }
  return tensor
}

/** Numbers in [0, 1), the same in every proof (mulberry32). */
function sameNumbers(): () => number {
  let state = 1
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

function areSame(some: readonly Tensor[], others: readonly Tensor[]): boolean {
  return some.every((one, index) => {
    const other = others[index]!
    if (one.shape.join() !== other.shape.join()) return false
    if (Array.isArray(one.data)) return one.data.every((text, at) => text === other.data[at])
    // By bits: -0 is not 0, and one NaN is not another.
    return Buffer.compare(bytesOf(one), bytesOf(other)) === 0
  })
}

function isReal({ datatype }: Tensor): boolean {
  return datatype === 'FP16' || datatype === 'FP32' || datatype === 'FP64'
}

function hexOf(tensor: Tensor): string {
  return bytesOf(tensor).toString('hex')
}

function bytesOf({ data }: Tensor): Buffer {
  const { buffer, byteOffset, byteLength } = data as Float32Array
  return Buffer.from(buffer, byteOffset, byteLength)
}
