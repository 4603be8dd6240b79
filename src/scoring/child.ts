// Entry of a scoring process: holds ONNX sessions away from the gateway, so that a crash is an error of the version.
import { readFile } from 'node:fs/promises'
import { constants, setPriority } from 'node:os'
import { messageOf, UnderstudyError } from '../errors.ts'
import { sha256Of } from '../models/digest.ts'
import { goldenMismatch, tensorOf } from './golden.ts'
import { type FromChild, INLINE_P99_MS, type ToChild } from './message.ts'
import { createOnnxScorer, type OnnxScorer } from './onnx.ts'
import { keepsRowsApart } from './rowsApart.ts'

type Golden = NonNullable<Extract<ToChild, { kind: 'load' }>['golden']>

const models = new Map<string, OnnxScorer>()
/** Models on their way: after a restart scores follow right behind the load. */
const loading = new Map<string, Promise<unknown>>()
const GOLDEN_DEADLINE_MS = 10_000
const TIMED_RUNS = 100
const TIMED_BATCHES = 20

// A gateway that died takes its scoring processes with it.
process.on('disconnect', () => void stop())
// Ctrl-C reaches the whole process group; the gateway drains first and then tells us.
process.on('SIGINT', () => {})
process.on('SIGTERM', () => {})
process.on('message', (message: ToChild) => void answer(message))

async function answer(message: ToChild): Promise<void> {
  switch (message.kind) {
    case 'load': {
      const loaded = load(message)
      loading.set(message.sha256, loaded)
      const told = await loaded
      if (loading.get(message.sha256) === loaded) loading.delete(message.sha256)
      return tell(told)
    }
    case 'prove':
      yieldToOthers()
      return tell(await prove(message))
    case 'score': {
      // Not awaited where nothing loads: an unload that comes next would overtake this score.
      if (loading.has(message.model)) await loading.get(message.model)
      const scorer = models.get(message.model)
      const outcome = scorer
        ? await scorer.score(message.inputs, message.deadlineMs)
        : ({
            ok: false,
            code: 'VERSION_NOT_READY',
            message: 'the model is not loaded',
            inferMs: 0,
            queueMs: 0,
          } as const)
      return tell({ kind: 'scored', call: message.call, outcome })
    }
    case 'unload': {
      if (loading.has(message.model)) await loading.get(message.model)
      const scorer = models.get(message.model)
      models.delete(message.model)
      return scorer?.close()
    }
    case 'stop':
      return stop()
  }
}

async function load({ call, file, sha256, golden }: Extract<ToChild, { kind: 'load' }>): Promise<FromChild> {
  try {
    const existing = models.get(sha256)
    const scorer = existing ?? (await opened(file, sha256))
    const mismatch = golden && (await goldenMismatch(scorer, golden, GOLDEN_DEADLINE_MS))
    if (mismatch !== undefined) {
      if (!existing) await scorer.close()
      return { kind: 'refused', call, message: mismatch }
    }
    models.set(sha256, scorer)
    const p99Ms = golden === undefined ? 0 : await timed(scorer, golden)
    return { kind: 'loaded', call, model: { ...scorer.signature, p99Ms } }
  } catch (error) {
    return { kind: 'refused', call, message: messageOf(error) }
  }
}

/** In a session of its own, which ends with the proof. */
async function prove({ call, file, sha256, golden }: Extract<ToChild, { kind: 'prove' }>): Promise<FromChild> {
  try {
    const scorer = await opened(file, sha256)
    try {
      return { kind: 'proved', call, keepsRowsApart: await keepsRowsApart(scorer, golden) }
    } finally {
      await scorer.close()
    }
  } catch (error) {
    return { kind: 'refused', call, message: messageOf(error) }
  }
}

/** A process may lower its priority and never raise it again, so one that proves does nothing else. */
function yieldToOthers(): void {
  try {
    // Not the lowest: on a machine that is busy without end the proof would never come to one.
    setPriority(constants.priority.PRIORITY_BELOW_NORMAL)
  } catch {
    // Where that is forbidden it proves as it is.
  }
}

/** A session over bytes that have this sha256. @throws MODEL_BROKEN, fit for a client: no paths */
async function opened(file: string, sha256: string): Promise<OnnxScorer> {
  // The system's own text names the path, and a client may come to read it.
  const bytes = await readFile(file).catch(() => {
    throw new UnderstudyError('MODEL_BROKEN', 'the model file cannot be read')
  })
  if (sha256Of(bytes) !== sha256) {
    throw new UnderstudyError('MODEL_BROKEN', 'the model file changed since it was checked')
  }
  return createOnnxScorer(bytes)
}

/**
 * The 99th percentile of single scores, ms, over the golden inputs: the least of several batches, since other work on
 * the machine can only make it larger. A batch that is quick enough decides: a gateway with a hundred models would wait
 * ten seconds for the rest of them.
 */
async function timed(scorer: OnnxScorer, golden: Golden): Promise<number> {
  const inputs = golden.vectors.map(vector => vector.inputs.map(tensorOf))
  let least = Number.POSITIVE_INFINITY
  for (let batch = 0; batch < TIMED_BATCHES; batch++) {
    const times: number[] = []
    for (let run = 0; run < TIMED_RUNS; run++) {
      const outcome = await scorer.score(inputs[run % inputs.length]!, GOLDEN_DEADLINE_MS)
      times.push(outcome.inferMs)
    }
    times.sort((a, b) => a - b)
    least = Math.min(least, times[Math.floor(times.length * 0.99)]!)
    if (least < INLINE_P99_MS) break
  }
  return least
}

function tell(message: FromChild): void {
  if (process.connected) process.send?.(message)
}

/** Ends without process.exit: onnxruntime aborts the process when it is called while a session lives. */
async function stop(): Promise<void> {
  await Promise.all([...models.values()].map(scorer => scorer.close()))
  models.clear()
  if (process.connected) process.disconnect?.()
  process.removeAllListeners('message')
}
