import { copyFile, readFile, writeFile } from 'node:fs/promises'
import { getPriority } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { tensorOf } from '../../src/scoring/golden.ts'
import { ScoringProcess } from '../../src/scoring/pool.ts'
import { MODELS, manifestOf, scratch, until } from '../e2e/gateway.ts'

const manifest = manifestOf('tumour-risk', '1.0.0')
const file = join(MODELS, 'tumour-risk', '1.0.0', 'model.onnx')
const { sha256, golden } = manifest
const inputs = golden.vectors[0]!.inputs.map(tensorOf)

function open(): ScoringProcess {
  const scoring = new ScoringProcess()
  onTestFinished(() => scoring.stop())
  return scoring
}

/** Kills the process by its id and waits until it is gone. */
async function kill(scoring: ScoringProcess): Promise<void> {
  const { pid } = scoring
  process.kill(pid!, 'SIGKILL')
  await until(() => scoring.pid !== pid, { what: () => 'the scoring process to be gone' })
}

describe('a scoring process', () => {
  it('says what the model takes and gives and how long it takes, once its golden vectors are reproduced', async () => {
    const model = await open().load({ file, sha256, golden })
    expect(model.inputs).toEqual(manifest.signature.inputs)
    expect(model.outputs).toEqual(manifest.signature.outputs)
    expect(model.p99Ms).toBeGreaterThan(0)
  })

  it('refuses bytes that are not those of the sha256', async () => {
    const other = join(MODELS, 'tumour-risk', '1.1.0', 'model.onnx')
    await expect(open().load({ file: other, sha256 })).rejects.toMatchObject({ code: 'MODEL_BROKEN' })
  })

  it('refuses a file that is not there, without naming its path', async () => {
    const missing = join(await scratch(), 'nothing.onnx')
    const error = await open()
      .load({ file: missing, sha256 })
      .catch((reason: Error) => reason)
    expect(error).toMatchObject({ code: 'MODEL_BROKEN' })
    expect((error as Error).message).not.toContain(missing)
  })

  it('refuses a model that does not reproduce its golden vectors, says which, and works on', async () => {
    const scoring = open()
    const wrong = structuredClone(golden) as { vectors: { outputs: { data: unknown[] }[] }[] }
    wrong.vectors[0]!.outputs[1]!.data[0] = 0.123
    await expect(scoring.load({ file, sha256, golden: wrong as unknown as typeof golden })).rejects.toMatchObject({
      code: 'MODEL_BROKEN',
      message: expect.stringMatching(/golden vector 1.*probabilities/),
    })
    await scoring.load({ file, sha256, golden })
    expect((await scoring.scorer(sha256).score(inputs, 5_000)).ok).toBe(true)
  })

  it('that is killed while it scores makes those scores VERSION_FAILED, and the next one works', async () => {
    const scoring = open()
    await scoring.load({ file, sha256, golden })
    const scorer = scoring.scorer(sha256)
    expect((await scorer.score(inputs, 5_000)).ok).toBe(true)
    const underWay = Promise.all(Array.from({ length: 200 }, () => scorer.score(inputs, 5_000)))
    process.kill(scoring.pid!, 'SIGKILL')
    const outcomes = await underWay
    expect(outcomes.some(({ ok }) => !ok)).toBe(true)
    for (const outcome of outcomes) if (!outcome.ok) expect(outcome.code).toBe('VERSION_FAILED')
    expect((await scorer.score(inputs, 5_000)).ok).toBe(true)
  })

  it('that hangs is killed though nobody asks it again, and the next score finds another', async () => {
    const scoring = new ScoringProcess({ hangGraceMs: 500 })
    onTestFinished(() => scoring.stop())
    await scoring.load({ file, sha256, golden })
    const scorer = scoring.scorer(sha256)
    const { pid } = scoring
    process.kill(pid!, 'SIGSTOP')
    expect(await scorer.score(inputs, 300)).toMatchObject({ ok: false, code: 'VERSION_DEADLINE' })
    expect(scoring.pid, 'it has a while to come back').toBe(pid)
    await until(() => scoring.pid !== pid, { what: () => 'the hung process to be gone' })
    expect((await scorer.score(inputs, 10_000)).ok).toBe(true)
  })

  it('that is killed while it is idle is there again for the next score', async () => {
    const scoring = open()
    await scoring.load({ file, sha256, golden })
    const scorer = scoring.scorer(sha256)
    for (let round = 0; round < 3; round++) {
      await kill(scoring)
      expect((await scorer.score(inputs, 10_000)).ok).toBe(true)
    }
  })

  it('in a crash loop is left alone: VERSION_NOT_READY at once, and no new process each time', async () => {
    const scoring = open()
    await scoring.load({ file, sha256 })
    const scorer = scoring.scorer(sha256)
    let last = await scorer.score(inputs, 5_000)
    for (let crash = 0; crash < 8 && !(!last.ok && last.code === 'VERSION_NOT_READY'); crash++) {
      const underWay = scorer.score(inputs, 5_000)
      // Once it is left alone there is no process to kill.
      if (scoring.pid !== undefined) process.kill(scoring.pid, 'SIGKILL')
      await underWay
      last = await scorer.score(inputs, 5_000)
    }
    expect(last).toMatchObject({ ok: false, code: 'VERSION_NOT_READY' })
    const startedAt = performance.now()
    for (let score = 0; score < 100; score++) expect((await scorer.score(inputs, 5_000)).ok).toBe(false)
    expect(performance.now() - startedAt).toBeLessThan(1_000)
  })

  it('whose model file changes after it was loaded does not load other bytes after a crash', async () => {
    const copy = join(await scratch(), 'model.onnx')
    await copyFile(file, copy)
    const scoring = open()
    await scoring.load({ file: copy, sha256, golden })
    const scorer = scoring.scorer(sha256)
    await writeFile(copy, await readFile(join(MODELS, 'tumour-risk', '1.1.0', 'model.onnx')))
    // The old session serves on; after a crash there is nothing to serve with.
    expect((await scorer.score(inputs, 5_000)).ok).toBe(true)
    await kill(scoring)
    expect(await scorer.score(inputs, 5_000)).toMatchObject({ ok: false, code: 'VERSION_NOT_READY' })
  })

  it('proves which models keep rows apart, without their being loaded, and yields to all others from then on', async () => {
    const scoring = open()
    expect(await scoring.prove({ file, sha256, golden })).toBe(false)
    const flights = manifestOf('flight-delay', '1.0.0')
    const path = join(MODELS, 'flight-delay', '1.0.0', 'model.onnx')
    expect(await scoring.prove({ ...flights, file: path })).toBe(true)
    expect(getPriority(scoring.pid!)).toBeGreaterThan(getPriority())
    expect(await scoring.prove({ file, sha256: flights.sha256, golden: flights.golden }), 'other bytes').toBe(false)
  })

  it('that is killed over a proof says that it does not know, and proves the next', async () => {
    const scoring = open()
    const { sha256, golden } = manifestOf('flight-delay', '1.0.0')
    const model = { file: join(MODELS, 'flight-delay', '1.0.0', 'model.onnx'), sha256, golden }
    const proof = scoring.prove(model)
    process.kill(scoring.pid!, 'SIGKILL')
    expect(await proof).toBeUndefined()
    expect(await scoring.prove(model)).toBe(true)
  })

  it('that is told to stop ends by itself with its proof', async () => {
    const scoring = new ScoringProcess()
    const { sha256, golden } = manifestOf('flight-delay', '1.0.0')
    const proof = scoring.prove({ file: join(MODELS, 'flight-delay', '1.0.0', 'model.onnx'), sha256, golden })
    const startedAt = performance.now()
    await scoring.stop()
    expect(performance.now() - startedAt, 'it was not killed').toBeLessThan(5_000)
    expect(await proof).toBeUndefined()
  })

  it('stops by itself when told, and answers what comes later', async () => {
    const scoring = new ScoringProcess()
    await scoring.load({ file, sha256 })
    const scorer = scoring.scorer(sha256)
    const { pid } = scoring
    await scoring.stop()
    expect(() => process.kill(pid!, 0)).toThrow()
    expect((await scorer.score(inputs, 1_000)).ok).toBe(false)
  })

  it('that never started stops at once', async () => {
    await new ScoringProcess().stop()
  })
})
