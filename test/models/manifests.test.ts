// Every committed model is what its manifest says: bytes, signature and golden answers.
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import * as ort from 'onnxruntime-node'
import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { Manifest } from '../../src/models/manifest.ts'

const root = join(import.meta.dirname, '../../models')
const folders = readdirSync(root, { recursive: true, encoding: 'utf8' })
  .filter(path => path.endsWith('model.yaml'))
  .map(path => join(path, '..'))
  .sort()

const ortTypes = { BYTES: 'string', FP32: 'float32', INT64: 'int64' } as const

type GoldenTensor = Manifest['golden']['vectors'][number]['inputs'][number]

test('ships three versions of each of three models', () => {
  const versions = ['1.0.0', '1.1.0', '2.0.0']
  expect(folders).toEqual(['digits', 'flight-delay', 'tumour-risk'].flatMap(name => versions.map(v => `${name}/${v}`)))
})

describe.each(folders)('%s', folder => {
  const manifest = Manifest.parse(parse(readFileSync(join(root, folder, 'model.yaml'), 'utf8')))
  const bytes = readFileSync(join(root, folder, manifest.file))

  test('is named like its folder and has the bytes that its manifest names', () => {
    expect(`${manifest.name}/${manifest.version}`).toBe(folder)
    expect(createHash('sha256').update(bytes).digest('hex')).toBe(manifest.sha256)
  })

  test('declares the inputs and outputs that its manifest names', async () => {
    await withSession(bytes, async session => {
      expect(session.inputMetadata.map(describeTensor)).toEqual(manifest.signature.inputs.map(expectedTensor))
      expect(session.outputMetadata.map(describeTensor)).toEqual(manifest.signature.outputs.map(expectedTensor))
    })
  })

  test('reproduces its golden vectors', async () => {
    const { tolerance, vectors } = manifest.golden
    await withSession(bytes, async session => {
      for (const vector of vectors) {
        const answer = await session.run(Object.fromEntries(vector.inputs.map(tensor => [tensor.name, toOrt(tensor)])))
        for (const expected of vector.outputs) {
          const actual = answer[expected.name]!
          expect(actual.type).toBe(ortType(expected.datatype))
          expect(actual.dims).toEqual(expected.shape)
          Array.from(actual.data as ArrayLike<number | bigint>, Number).forEach((value, index) => {
            const wanted = Number(expected.data[index])
            expect(Math.abs(value - wanted)).toBeLessThanOrEqual(
              tolerance.absolute + tolerance.relative * Math.abs(wanted),
            )
          })
        }
      }
    })
  })

  test('states its provenance, a profile of finite numbers and held-out metrics', () => {
    const { dataset, code } = manifest.provenance
    expect(JSON.stringify({ dataset, code })).not.toContain('not given')
    expect(manifest.profile!.features.length).toBeGreaterThanOrEqual(manifest.signature.inputs.length)
    for (const feature of manifest.profile!.features) {
      if (feature.kind === 'numeric') expect(feature.quantiles).toHaveLength(11)
    }
    expect(manifest.metrics!.rows).toBeGreaterThan(200)
  })
})

describe('the subtly worse version', () => {
  test('of flight-delay keeps its AUC and loses at EWR only, while the better one gains at every airport', () => {
    const live = metrics('flight-delay/1.0.0')
    const worse = metrics('flight-delay/1.1.0')
    expect(Math.abs(worse.overall.auc! - live.overall.auc!)).toBeLessThan(0.003)
    expect(worse.overall.brier! - live.overall.brier!).toBeGreaterThan(0.006)
    expect(slice(worse, 'origin EWR').loss_difference_mean).toBeGreaterThan(0.01)
    for (const other of ['origin JFK', 'origin LGA']) expect(slice(worse, other).loss_difference_mean).toBeLessThan(0)
    const better = metrics('flight-delay/2.0.0')
    expect(better.overall.loss_difference_mean).toBeLessThan(-0.004)
    for (const origin of ['EWR', 'JFK', 'LGA']) {
      expect(slice(better, `origin ${origin}`).loss_difference_mean).toBeLessThan(0)
    }
  })

  test('of digits keeps its accuracy and loses on 8', () => {
    const live = metrics('digits/1.0.0')
    const worse = metrics('digits/1.1.0')
    expect(Math.abs(worse.overall.accuracy! - live.overall.accuracy!)).toBeLessThan(0.005)
    expect(slice(worse, 'digit 8').accuracy).toBeLessThan(slice(live, 'digit 8').accuracy! - 0.2)
  })

  test('of tumour-risk keeps its AUC and its labels and loses its calibration', () => {
    const live = metrics('tumour-risk/1.0.0').overall
    const worse = metrics('tumour-risk/1.1.0').overall
    expect([worse.auc, worse.accuracy]).toEqual([live.auc, live.accuracy])
    expect(worse.brier).toBeGreaterThan(live.brier! + 0.02)
  })
})

async function withSession(bytes: Uint8Array, use: (session: ort.InferenceSession) => Promise<void>): Promise<void> {
  const session = await ort.InferenceSession.create(bytes, { intraOpNumThreads: 1 })
  try {
    await use(session)
  } finally {
    await session.release()
  }
}

function metrics(folder: string): NonNullable<Manifest['metrics']> {
  return Manifest.parse(parse(readFileSync(join(root, folder, 'model.yaml'), 'utf8'))).metrics!
}

function slice(of: NonNullable<Manifest['metrics']>, name: string): Readonly<Record<string, number>> {
  return of.slices.find(part => part.name === name)!.metrics
}

/** A dynamic dimension is a name or −1 in onnxruntime's metadata, −1 in ours. */
function describeTensor(metadata: ort.InferenceSession.ValueMetadata): object {
  if (!metadata.isTensor) throw new Error(`${metadata.name} is not a tensor`)
  const shape = metadata.shape.map(dimension => (typeof dimension === 'number' ? dimension : -1))
  return { name: metadata.name, type: metadata.type, shape }
}

function expectedTensor(spec: Manifest['signature']['inputs'][number]): object {
  return { name: spec.name, type: ortType(spec.datatype), shape: spec.shape }
}

function toOrt({ datatype, shape, data }: GoldenTensor): ort.Tensor {
  if (datatype === 'BYTES') return new ort.Tensor('string', data.map(String), shape)
  if (datatype === 'INT64')
    return new ort.Tensor(
      'int64',
      BigInt64Array.from(data, value => BigInt(Number(value))),
      shape,
    )
  return new ort.Tensor('float32', Float32Array.from(data, Number), shape)
}

function ortType(datatype: string): string {
  const type = ortTypes[datatype as keyof typeof ortTypes]
  if (type === undefined) throw new Error(`the shipped models have no ${datatype} tensors`)
  return type
}
