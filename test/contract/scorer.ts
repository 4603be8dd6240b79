// The contract of a scorer, run against every kind: the same model must give the same answers and fail in the same words.
import { describe, expect, it } from 'vitest'
import type { Manifest } from '../../src/models/manifest.ts'
import { numberAt, type Tensor } from '../../src/protocols/tensor.ts'
import { tensorOf } from '../../src/scoring/golden.ts'
import type { Scorer } from '../../src/scoring/scorer.ts'

const DEADLINE_MS = 5_000

/** `open` gives a new scorer over tumour-risk 1.0.0 each time; `manifest` is that model's. */
export function scorerContract(kind: string, manifest: Manifest, open: () => Promise<Scorer>): void {
  const { vectors, tolerance } = manifest.golden
  const right = vectors[0]!.inputs.map(tensorOf)
  const using = async (use: (scorer: Scorer) => Promise<void>) => {
    const scorer = await open()
    try {
      await use(scorer)
    } finally {
      await scorer.close()
    }
  }

  describe(`${kind}: the contract of a scorer`, () => {
    it('reproduces the golden vectors, outputs in the order of the signature', () =>
      using(async scorer => {
        for (const { inputs, outputs } of vectors) {
          const outcome = await scorer.score(inputs.map(tensorOf), DEADLINE_MS)
          if (!outcome.ok) throw new Error(outcome.message)
          expect(outcome.outputs.map(({ name }) => name)).toEqual(manifest.signature.outputs.map(({ name }) => name))
          for (const [at, expected] of outputs.entries()) {
            const actual = outcome.outputs[at]!
            expect(actual).toMatchObject({ datatype: expected.datatype, shape: expected.shape })
            for (const [index, value] of expected.data.entries()) {
              const allowed = tolerance.absolute + tolerance.relative * Math.abs(Number(value))
              expect(Math.abs(numberAt(actual.data, index) - Number(value))).toBeLessThanOrEqual(allowed)
            }
          }
        }
      }))

    it('tells times that are not negative and not longer than the call', () =>
      using(async scorer => {
        const startedAt = performance.now()
        const { inferMs, queueMs } = await scorer.score(right, DEADLINE_MS)
        const elapsedMs = performance.now() - startedAt
        expect(inferMs).toBeGreaterThan(0)
        expect(queueMs).toBeGreaterThanOrEqual(0)
        expect(inferMs + queueMs).toBeLessThanOrEqual(elapsedMs + 1)
      }))

    const features = right[0]!
    it.each<[string, readonly Tensor[]]>([
      ['no inputs', []],
      ['another name', [{ ...features, name: 'other' }]],
      ['another datatype', [{ ...features, datatype: 'FP64', data: Float64Array.from({ length: 30 }, () => 1) }]],
      ['another width', [{ ...features, shape: [1, 29], data: new Float32Array(29) }]],
      ['another rank', [{ ...features, shape: [30] }]],
      ['an input too many', [features, { ...features, name: 'more' }]],
      ['an input twice', [features, features]],
    ])('refuses %s as BAD_TENSOR and works on', (_, inputs) =>
      using(async scorer => {
        const outcome = await scorer.score(inputs, DEADLINE_MS)
        expect(outcome).toMatchObject({ ok: false, code: 'BAD_TENSOR', message: expect.any(String) })
        expect((await scorer.score(right, DEADLINE_MS)).ok).toBe(true)
      }),
    )

    it('answers many at once, each with its own rows', () =>
      using(async scorer => {
        const alone = await Promise.all(
          vectors.map(async ({ inputs }) => scorer.score(inputs.map(tensorOf), DEADLINE_MS)),
        )
        const together = await Promise.all(
          Array.from({ length: 50 }, (_, index) =>
            scorer.score(vectors[index % vectors.length]!.inputs.map(tensorOf), DEADLINE_MS),
          ),
        )
        for (const [index, outcome] of together.entries()) {
          const expected = alone[index % vectors.length]!
          expect(outcome.ok && outcome.outputs).toEqual(expected.ok && expected.outputs)
        }
      }))

    it('does not change its inputs', () =>
      using(async scorer => {
        const before = structuredClone(right)
        await scorer.score(right, DEADLINE_MS)
        expect(right).toEqual(before)
      }))

    it('past its deadline says VERSION_DEADLINE and never rejects', () =>
      using(async scorer => {
        expect(await scorer.score(right, 0.000_001)).toMatchObject({ ok: false, code: 'VERSION_DEADLINE' })
        expect((await scorer.score(right, DEADLINE_MS)).ok).toBe(true)
      }))

    it('when closed lets what is under way finish; later scores are VERSION_NOT_READY; closing twice is nothing', async () => {
      const scorer = await open()
      expect((await scorer.score(right, DEADLINE_MS)).ok).toBe(true)
      const underWay = Promise.all([scorer.score(right, DEADLINE_MS), scorer.score(right, DEADLINE_MS)])
      const closing = scorer.close()
      const later = scorer.score(right, DEADLINE_MS)
      for (const outcome of await underWay) expect(outcome.ok).toBe(true)
      await closing
      expect(await later).toMatchObject({ ok: false, code: 'VERSION_NOT_READY' })
      expect(await scorer.score(right, DEADLINE_MS)).toMatchObject({ ok: false, code: 'VERSION_NOT_READY' })
      await scorer.close()
    })

    it('closed leaves another scorer over the same model at work', async () => {
      const [first, second] = [await open(), await open()]
      await first.close()
      expect((await second.score(right, DEADLINE_MS)).ok).toBe(true)
      await second.close()
    })
  })
}
