import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import type { Tensor } from '../../src/protocols/tensor.ts'
import { tensorOf } from '../../src/scoring/golden.ts'
import { createOnnxScorer } from '../../src/scoring/onnx.ts'
import { MOST_ROWS, type Ran, SharedRuns } from '../../src/scoring/sharedRuns.ts'
import { MODELS, manifestOf } from '../e2e/gateway.ts'

const DEADLINE_MS = 10_000

const rows = (...values: number[]): Tensor[] => [
  { name: 'x', datatype: 'FP32', shape: [values.length, 1], data: Float32Array.from(values) },
]

/** A session whose answers are its inputs, and which keeps what it was run with. */
function session(run: (values: number[], inputs: readonly Tensor[]) => readonly Tensor[] | Error = (_, x) => x) {
  const runs: number[][] = []
  const shared = new SharedRuns(
    inputsOf =>
      new Promise<Ran>(resolve =>
        setImmediate(() => {
          const startedAt = performance.now()
          const inputs = inputsOf()
          const values = [...(inputs[0]!.data as Float32Array)]
          runs.push(values)
          const ran = run(values, inputs)
          const times = { startedAt, endedAt: performance.now() }
          resolve(ran instanceof Error ? { ...times, error: ran.message } : { ...times, outputs: ran })
        }),
      ),
  )
  return { runs, shared }
}

it('gives what is asked for in one turn one run, and each its own rows', async () => {
  const { runs, shared } = session()
  const outcomes = await Promise.all([rows(1), rows(2, 3), rows(4)].map(each => shared.score(each, DEADLINE_MS)))
  expect(runs).toEqual([[1, 2, 3, 4]])
  expect(outcomes).toMatchObject([
    { ok: true, outputs: rows(1) },
    { ok: true, outputs: rows(2, 3) },
    { ok: true, outputs: rows(4) },
  ])
  expect(new Set(outcomes.map(({ inferMs }) => inferMs)).size).toBe(1)
})

it('runs what comes in a later turn later, and lets nobody wait for it', async () => {
  const { runs, shared } = session()
  await shared.score(rows(1), DEADLINE_MS)
  await shared.score(rows(2), DEADLINE_MS)
  expect(runs).toEqual([[1], [2]])
})

it('begins another run where one is full, and leaves what fills one to itself', async () => {
  const { runs, shared } = session()
  const long = Array.from({ length: MOST_ROWS }, (_, index) => index)
  const half = long.slice(0, MOST_ROWS / 2)
  await Promise.all([rows(...half), rows(...long), rows(...half), rows(7)].map(each => shared.score(each, DEADLINE_MS)))
  expect(runs.map(({ length }) => length)).toEqual([MOST_ROWS, MOST_ROWS, 1])
})

it('scores each again alone where a run of several fails, so that one bad row is the failure of its request only', async () => {
  const { runs, shared } = session((values, inputs) => (values.includes(2) ? new Error('bad row') : inputs))
  const outcomes = await Promise.all([rows(1), rows(2), rows(3)].map(each => shared.score(each, DEADLINE_MS)))
  expect(outcomes).toMatchObject([
    { ok: true, outputs: rows(1) },
    { ok: false, code: 'VERSION_FAILED', message: 'bad row' },
    { ok: true, outputs: rows(3) },
  ])
  expect(runs).toEqual([[1, 2, 3], [1], [2], [3]])
})

it('never shares again where a run does not give an answer for each row', async () => {
  const { runs, shared } = session(values => rows(values.reduce((sum, value) => sum + value, 0)))
  const ask = () => Promise.all([rows(1), rows(2)].map(each => shared.score(each, DEADLINE_MS)))
  expect(await ask()).toMatchObject([{ outputs: rows(1) }, { outputs: rows(2) }])
  await ask()
  expect(runs).toEqual([[1, 2], [1], [2], [1], [2]])
})

it('holds each to its own deadline', async () => {
  const { shared } = session()
  const [late, inTime] = await Promise.all([shared.score(rows(1), 0.000_001), shared.score(rows(2), DEADLINE_MS)])
  expect(late).toMatchObject({ ok: false, code: 'VERSION_DEADLINE' })
  expect(inTime).toMatchObject({ ok: true, outputs: rows(2) })
})

it('takes inputs in any order, with those of others', async () => {
  const { golden } = manifestOf('flight-delay', '1.0.0')
  const scorer = await createOnnxScorer(await readFile(join(MODELS, 'flight-delay', '1.0.0', 'model.onnx')))
  try {
    const inputs = golden.vectors[0]!.inputs.map(tensorOf)
    const other = golden.vectors[1]!.inputs.map(tensorOf)
    const alone = await scorer.score(inputs, DEADLINE_MS)
    const [reversed] = await Promise.all(
      [inputs.toReversed(), other].map(each => scorer.score(each, DEADLINE_MS, { shares: true })),
    )
    expect(reversed!.ok && reversed!.outputs).toEqual(alone.ok && alone.outputs)
    const before = await Promise.all([inputs, other].map(each => scorer.score(each, DEADLINE_MS, { shares: true })))
    expect(before[0]!.inferMs).toBe(before[1]!.inferMs)
  } finally {
    await scorer.close()
  }
})
