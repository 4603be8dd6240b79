// What a V2 body costs to read and to write: raw tensors of 1 MB, and JSON of a usual row, of 32 rows and of 1 MB.
// Usage: node bench/micro/decode.ts [repetitions] [--out bench/results/decode.json]; prints JSON, milliseconds.
import { writeFileSync } from 'node:fs'
import { cpus, loadavg, platform, release } from 'node:os'
import { parseArgs } from 'node:util'
import type { InferRequest, WireBody } from '../../src/protocols/codec.ts'
import { v2 } from '../../src/protocols/openInference.ts'
import type { Tensor } from '../../src/protocols/tensor.ts'
import { commit } from '../commit.ts'
import type { DecodeResults } from './decodeTable.ts'

const { values, positionals } = parseArgs({ options: { out: { type: 'string' } }, allowPositionals: true })
const REPETITIONS = Number(positionals[0] ?? 1_000)
const LIMITS = { depth: 64, elements: 4_000_000 }
const VALUES = 262_144
/** What a megabyte of raw FP32 is to take at most, ms. */
const TARGET_MS = 0.3

let sink = 0

function floats(rows: number, width: number): Tensor {
  // Values of several magnitudes and as many digits as a float has, as features do.
  const data = Float32Array.from({ length: rows * width }, (_, index) => Math.sin(index) * 10 ** (index % 5))
  return { name: 'features', datatype: 'FP32', shape: [rows, width], data }
}

function request(inputs: readonly Tensor[]): InferRequest {
  return { id: 'b', inputs, outputs: undefined, binaryOutputs: true, columnar: false }
}

/** The body with its values at an odd place, as they are behind most JSON. */
function raw(tensors: readonly Tensor[]): WireBody {
  const { body, jsonBytes, contentType } = v2.encodeResponse(answer(tensors), request([]))
  const text = body.toString('utf8', 0, jsonBytes).replace('"outputs"', '"inputs"')
  const padded = text.padEnd(text.length + (text.length % 2 === 0 ? 1 : 0))
  const bytes = Buffer.concat([Buffer.from(padded), (body as Buffer).subarray(jsonBytes)])
  return { bytes, jsonBytes: padded.length, contentType }
}

function json(tensors: readonly Tensor[]): WireBody {
  const { body, contentType } = v2.encodeRequest(request(tensors))
  return { bytes: Buffer.from(body), jsonBytes: undefined, contentType }
}

function answer(outputs: readonly Tensor[]) {
  return { modelName: 'm', modelVersion: '1.0.0', id: undefined, outputs }
}

const texts: Tensor = {
  name: 'text',
  datatype: 'BYTES',
  shape: [32, 4],
  data: Array.from({ length: 128 }, (_, index) => `carrier ${index}, naïve`),
}

function measure(name: string, bytes: number, work: () => { readonly length: number } | object) {
  // A megabyte of JSON takes a hundred times as long as one of raw floats.
  const repetitions = bytes > 2_000_000 ? Math.ceil(REPETITIONS / 20) : REPETITIONS
  for (let run = 0; run < Math.max(200, repetitions / 4); run++) consume(work())
  const times: number[] = []
  // A small body is read in less than the clock tells apart.
  const batch = bytes < 100_000 ? 20 : 1
  for (let run = 0; run < repetitions; run++) {
    const from = performance.now()
    for (let each = 0; each < batch; each++) consume(work())
    times.push((performance.now() - from) / batch)
  }
  times.sort((a, b) => a - b)
  const at = (share: number) => Number(times[Math.floor(share * times.length)]!.toPrecision(3))
  return { name, bytes, repetitions, ms: { lower: at(0.25), median: at(0.5), upper: at(0.75) } }
}

function consume(result: object): void {
  sink += 'inputs' in result ? (result as InferRequest).inputs.length : 1
}

function decoding(name: string, body: WireBody) {
  return measure(name, body.bytes.length, () => v2.decodeRequest(body, LIMITS, undefined))
}

function encoding(name: string, tensors: readonly Tensor[], asked: InferRequest) {
  const work = () => v2.encodeResponse(answer(tensors), asked)
  return measure(name, Buffer.byteLength(work().body), work)
}

const inJson = { ...request([]), binaryOutputs: false }
const loadBefore = loadavg()[0]!
const figures = [
  decoding('decode raw FP32, 262,144 values', raw([floats(1, VALUES)])),
  decoding('decode raw FP32, 32 rows of 30', raw([floats(32, 30)])),
  decoding('decode raw BYTES, 128 texts', raw([texts])),
  decoding('decode JSON FP32, 1 row of 30', json([floats(1, 30)])),
  decoding('decode JSON FP32, 1 row of 80 (1 KB)', json([floats(1, 80)])),
  decoding('decode JSON FP32, 32 rows of 30', json([floats(32, 30)])),
  decoding('decode JSON FP32, 262,144 values', json([floats(1, VALUES)])),
  encoding('encode raw FP32, 262,144 values', [floats(1, VALUES)], request([])),
  encoding('encode raw FP32, 32 rows of 2', [floats(32, 2)], request([])),
  encoding('encode raw BYTES, 128 texts', [texts], request([])),
  encoding('encode JSON FP32, 1 row of 2', [floats(1, 2)], inJson),
  encoding('encode JSON FP32, 32 rows of 2', [floats(32, 2)], inJson),
]
if (sink === 0) throw new Error('nothing was read')
const results: DecodeResults = {
  benchmark: 'decode',
  date: new Date().toISOString(),
  machine: {
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: cpus().length,
    system: `${platform()} ${release()}`,
    loadBefore,
    loadAfter: loadavg()[0]!,
  },
  node: process.version,
  commit: commit(),
  target: { name: figures[0]!.name, ms: TARGET_MS, verdict: figures[0]!.ms.median <= TARGET_MS ? 'met' : 'missed' },
  figures,
}
const text = JSON.stringify(results, null, 2)
console.log(text)
if (values.out !== undefined) writeFileSync(values.out, `${text}\n`)
