import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { Cycle, type CycleParts } from '../../src/control/cycle.ts'
import { abort } from '../../src/rollout/rollback.ts'
import { useFakeTime, useRealTime } from '../fakeTime.ts'
import { verdict } from '../report/sample.ts'

vi.mock('../../src/rollout/rollback.ts', () => ({ abort: vi.fn() }))

beforeEach(() => {
  useFakeTime()
})
afterEach(() => {
  useRealTime()
})

const nothing = () => {}

/** A cycle among parts that do nothing, but for what is given of each. */
function cycleOf(given: Record<string, unknown>): Cycle {
  const idle: Record<string, unknown> = {
    collector: { release: () => [] },
    book: { commit: () => true, served: nothing, keepValue: nothing, periods: () => [] },
    traces: { release: () => [], end: () => [] },
    labels: { admitted: () => [], take: () => [], kept: nothing, arrived: nothing, expire: nothing },
    meters: { committed: nothing, verdict: nothing },
    verdicts: { sample: nothing },
    history: { sample: nothing, forgetOthers: nothing },
    seenUnits: { takeChanged: () => [] },
    ports: { verdictNow: () => undefined },
    notifier: { verdict: nothing },
    decline: { tick: nothing },
    automatic: { judged: nothing, keep: nothing },
    log: { info: nothing, warn: nothing, error: nothing },
    config: () => ({ routes: {} }),
    standing: () => undefined,
    now: () => 0,
  }
  for (const [name, part] of Object.entries(given)) {
    idle[name] = typeof part === 'function' ? part : { ...(idle[name] as object), ...(part as object) }
  }
  return new Cycle(idle as unknown as CycleParts)
}

it('asks for an abort once while it is under way, however the evidence grows', async () => {
  let looks = 0
  const underWay = Promise.withResolvers<never>()
  vi.mocked(abort)
    .mockReturnValueOnce(underWay.promise)
    .mockReturnValue(new Promise(() => {}))
  const cycle = cycleOf({
    book: { periods: () => [{ candidateDigest: 'b' }] },
    models: () => ({ known: () => ({ digest: 'b' }) }),
    ports: { verdictNow: () => ({ ...verdict, decision: 'abort', evidenceDigest: `look ${looks++}` }) },
    standing: () => ({
      snapshot: { routes: [{ name: 'm', versions: [{ version: '1.1.0', evidenceKey: 'k' }] }] },
      change: { loaded: { config: { routes: {} } }, resolutions: { m: { state: { latches: {} } } } },
    }),
  })
  cycle.start()
  await vi.advanceTimersByTimeAsync(5_000)
  expect(looks).toBeGreaterThan(2)
  expect(abort).toHaveBeenCalledTimes(1)
  underWay.reject(new Error('a thread did not answer in time'))
  await vi.advanceTimersByTimeAsync(3_000)
  expect(abort, 'it is tried again').toHaveBeenCalledTimes(2)
  cycle.stop()
})

it('tells a failure once until it has worked again, and then once more', async () => {
  let fails = true
  const error = vi.fn()
  const cycle = cycleOf({
    decline: {
      tick: () => {
        if (fails) throw new Error('no')
      },
    },
    log: { error },
  })
  cycle.start()
  await vi.advanceTimersByTimeAsync(3_000)
  expect(error).toHaveBeenCalledTimes(1)
  fails = false
  await vi.advanceTimersByTimeAsync(1_000)
  fails = true
  await vi.advanceTimersByTimeAsync(3_000)
  expect(error).toHaveBeenCalledTimes(2)
  expect(error.mock.calls.map(([, message]) => message)).toEqual(new Array(2).fill('the watch for a decline failed'))
  cycle.stop()
})

it('looks at a route that nothing can change once a configuration, and every second at the others', async () => {
  const judged: string[] = []
  const kept: string[][] = []
  const standing = (...names: readonly string[]) => ({
    snapshot: {
      routes: names.map(name => ({
        name,
        versions: [{ version: '1.1.0', evidenceKey: name === 'candidate' ? 'k' : undefined }],
      })),
    },
    change: {
      loaded: {
        config: {
          routes: Object.fromEntries(
            names.map(name => [name, { rollout: { mode: name === 'automatic' ? 'auto' : 'manual' } }]),
          ),
        },
      },
    },
  })
  let now = standing('plain', 'candidate', 'automatic')
  const cycle = cycleOf({
    automatic: {
      judged: (name: string) => void judged.push(name),
      keep: (names: ReadonlySet<string>) => void kept.push([...names]),
    },
    standing: () => now,
  })
  cycle.start()
  await vi.advanceTimersByTimeAsync(300)
  expect(judged.splice(0)).toEqual(['plain', 'candidate', 'automatic'])
  await vi.advanceTimersByTimeAsync(2_000)
  expect(judged.splice(0)).toEqual(['candidate', 'automatic', 'candidate', 'automatic'])
  now = standing('plain', 'automatic')
  await vi.advanceTimersByTimeAsync(2_000)
  expect(judged).toEqual(['plain', 'automatic', 'automatic'])
  expect(kept).toEqual([
    ['plain', 'candidate', 'automatic'],
    ['plain', 'automatic'],
  ])
  cycle.stop()
})
