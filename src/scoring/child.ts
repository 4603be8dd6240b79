// Entry of a scoring process: holds ONNX sessions away from the gateway, so that a crash is an error of the version.
import { readFile } from 'node:fs/promises'
import { messageOf } from '../errors.ts'
import { sha256Of } from '../models/digest.ts'
import { goldenMismatch, tensorOf } from './golden.ts'
import { type FromChild, INLINE_P99_MS, type LoadedModel, type ToChild } from './message.ts'
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
    const bytes = existing ? undefined : await readFile(file).catch(() => null)
    // The system's own text names the path, and a client may come to read it.
    if (bytes === null) return { kind: 'refused', call, message: 'the model file cannot be read' }
    if (bytes && sha256Of(bytes) !== sha256)
      return { kind: 'refused', call, message: 'the model file changed since it was checked' }
    const scorer = existing ?? (await createOnnxScorer(bytes!))
    const mismatch = golden && (await goldenMismatch(scorer, golden, GOLDEN_DEADLINE_MS))
    if (mismatch !== undefined) {
      if (!existing) await scorer.close()
      return { kind: 'refused', call, message: mismatch }
    }
    models.set(sha256, scorer)
    return { kind: 'loaded', call, model: await measured(scorer, golden) }
  } catch (error) {
    return { kind: 'refused', call, message: messageOf(error) }
  }
}

async function measured(scorer: OnnxScorer, golden: Golden | undefined): Promise<LoadedModel> {
  if (golden === undefined) return { ...scorer.signature, p99Ms: 0, keepsRowsApart: false }
  const p99Ms = await timed(scorer, golden)
  // Of use on a serving thread only, and with a slow model the proof would take minutes.
  const isQuick = p99Ms < INLINE_P99_MS
  return { ...scorer.signature, p99Ms, keepsRowsApart: isQuick && (await keepsRowsApart(scorer, golden)) }
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
