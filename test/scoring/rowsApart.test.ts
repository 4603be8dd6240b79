import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { Manifest } from '../../src/models/manifest.ts'
import { joinInputs, splitOutputs } from '../../src/protocols/rows.ts'
import type { Tensor } from '../../src/protocols/tensor.ts'
import { tensorOf } from '../../src/scoring/golden.ts'
import { createOnnxScorer, type OnnxScorer } from '../../src/scoring/onnx.ts'
import { keepsRowsApart } from '../../src/scoring/rowsApart.ts'
import { MOST_ROWS } from '../../src/scoring/sharedRuns.ts'
import { MODELS, manifestOf } from '../e2e/gateway.ts'
import { type OneOpModel, onnxModel } from '../e2e/onnxModel.ts'

const SHIPPED = ['flight-delay', 'digits', 'tumour-risk'].flatMap(name =>
  ['1.0.0', '1.1.0', '2.0.0'].map(version => [name, version] as const),
)

async function open(bytes: Uint8Array): Promise<OnnxScorer> {
  const scorer = await createOnnxScorer(bytes)
  onTestFinished(() => scorer.close())
  return scorer
}

function goldenOf({ datatype }: OneOpModel, rows: readonly (readonly number[])[]): Manifest['golden'] {
  const vectors = rows.map(data => ({
    inputs: [{ name: 'x', datatype, shape: [1, data.length], data: [...data] }],
    outputs: [],
  }))
  return { tolerance: { absolute: 0, relative: 0 }, vectors }
}

async function isApart(model: OneOpModel, ...rows: readonly (readonly number[])[]): Promise<boolean> {
  return keepsRowsApart(await open(onnxModel(model)), goldenOf(model, rows))
}

/** Golden rows with values of others put in: near to what the model is for, and not what the proof was made with. */
function mixedRow(rows: readonly (readonly Tensor[])[], from: readonly number[]): Tensor[] {
  let at = 0
  const next = () => rows[from[at++ % from.length]! % rows.length]!
  return rows[0]!.map((tensor, input) => {
    const data = tensor.data.slice() as unknown as number[]
    for (let column = 0; column < data.length; column++)
      data[column] = (next()[input]!.data as unknown as number[])[column]!
    return { ...tensor, data: data as unknown as Tensor['data'] }
  })
}

describe('a model keeps rows apart', () => {
  it.each(SHIPPED)(
    '%s %s: whoever shares a run gets the bits that it gets alone, if the proof says so',
    async (name, version) => {
      const bytes = await readFile(join(MODELS, name, version, 'model.onnx'))
      const { golden } = manifestOf(name, version)
      const scorer = await open(bytes)
      // Linear models: the library multiplies one row and several in another order.
      const expected = name !== 'tumour-risk'
      expect(await keepsRowsApart(scorer, golden)).toBe(expected)
      if (!expected) return
      const rows = golden.vectors.flatMap(({ inputs }) => {
        const tensors = inputs.map(tensorOf)
        return splitOutputs(tensors, Array<number>(tensors[0]!.shape[0]!).fill(1))!
      })
      const anyRequest = fc
        .array(fc.array(fc.nat(), { minLength: 1, maxLength: 9 }), { minLength: 1, maxLength: 3 })
        .map(picks => joinInputs(picks.map(from => mixedRow(rows, from))))
      await fc.assert(
        fc.asyncProperty(fc.array(anyRequest, { minLength: 1, maxLength: MOST_ROWS }), async requests => {
          const alone = []
          for (const request of requests) alone.push(await scorer.score(request, 10_000))
          const shared = await Promise.all(requests.map(request => scorer.score(request, 10_000, { shares: true })))
          for (const [index, outcome] of shared.entries()) {
            const other = alone[index]!
            if (!outcome.ok || !other.ok) throw new Error('a request was not scored')
            expect(outcome.outputs).toEqual(other.outputs)
          }
        }),
        { numRuns: 40 },
      )
    },
  )

  it('where each answer is made of its own row', async () => {
    expect(await isApart({ op: 'Neg', datatype: 'FP32', width: 3 }, [1, 2, 3])).toBe(true)
    expect(await isApart({ op: 'Floor', datatype: 'FP64', width: 2 }, [100, 2], [30, 400])).toBe(true)
  })

  it.each(['Softmax', 'LpNormalization'] as const)('but not where %s goes over the rows', async op => {
    const model = { op, datatype: 'FP32', width: 2 } as const
    expect(await isApart(model, [1, 2], [3, -4], [5, 6])).toBe(false)
    expect(await isApart(model, [1, 2])).toBe(false)
  })

  it('but not where it gives one answer for all of them', async () => {
    expect(await isApart({ op: 'ReduceSum', datatype: 'FP32', width: 2 }, [1, 2], [3, 4])).toBe(false)
  })

  it('but not where its answers tell too little: few different ones, no real numbers, no golden rows', async () => {
    expect(await isApart({ op: 'Floor', datatype: 'FP32', width: 1 }, [0.1], [0.2])).toBe(false)
    expect(await isApart({ op: 'Identity', datatype: 'INT64', width: 2 }, [1, 2], [3, 4])).toBe(false)
    expect(await isApart({ op: 'Identity', datatype: 'FP32', width: 2 })).toBe(false)
  })
})
