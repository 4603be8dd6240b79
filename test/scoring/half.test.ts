import { expect, it } from 'vitest'
import { goldenMismatch } from '../../src/scoring/golden.ts'
import { createOnnxScorer } from '../../src/scoring/onnx.ts'
import { onnxModel } from '../e2e/onnxModel.ts'

it('scores half floats as numbers and not as their bits, and its golden vectors are numbers too', async () => {
  const scorer = await createOnnxScorer(onnxModel({ op: 'Neg', datatype: 'FP16', width: 2 }))
  try {
    const data = Float16Array.of(1.5, -65_504)
    const outcome = await scorer.score([{ name: 'x', datatype: 'FP16', shape: [1, 2], data }], 10_000)
    expect(outcome).toMatchObject({
      ok: true,
      outputs: [{ name: 'y', datatype: 'FP16', shape: [1, 2], data: Float16Array.of(-1.5, 65_504) }],
    })
    const golden = (output: number) => ({
      tolerance: { absolute: 0, relative: 0 },
      vectors: [
        {
          inputs: [{ name: 'x', datatype: 'FP16' as const, shape: [1, 2], data: [1.5, 2] }],
          outputs: [{ name: 'y', datatype: 'FP16' as const, shape: [1, 2], data: [-1.5, output] }],
        },
      ],
    })
    expect(await goldenMismatch(scorer, golden(-2), 10_000)).toBeUndefined()
    expect(await goldenMismatch(scorer, golden(-3), 10_000)).toMatch(/"y" is -2 at 1, not -3/)
  } finally {
    await scorer.close()
  }
})
