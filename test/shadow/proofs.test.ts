import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { INLINE_P99_MS, type LoadedModel, type VerifyModel } from '../../src/scoring/message.ts'
import { Proofs } from '../../src/shadow/proofs.ts'

const QUIET_MS = 2_000
const QUICK: LoadedModel = { inputs: [], outputs: [], p99Ms: INLINE_P99_MS / 2 }
const golden = { tolerance: { absolute: 0, relative: 0 }, vectors: [] }
const model = (sha256: string): VerifyModel => ({ file: `/${sha256}`, sha256, golden })

/** Processes whose proofs end when the test says so. */
function fakes() {
  const proving: string[] = []
  const proven: string[] = []
  const stopped: number[] = []
  let started = 0
  let end: (keepsRowsApart: boolean | undefined) => void
  const proofs = new Proofs({
    proven: sha256 => proven.push(sha256),
    quietMs: QUIET_MS,
    start: () => {
      const process = started++
      return {
        prove: ({ sha256 }) => {
          proving.push(`${sha256} in ${process}`)
          return new Promise(resolve => (end = resolve))
        },
        stop: async () => void stopped.push(process),
      }
    },
  })
  return {
    proofs,
    proving,
    proven,
    stopped,
    ended: async (keepsRowsApart: boolean | undefined) => {
      end(keepsRowsApart)
      await pass(0)
    },
    checked: (...names: string[]) => Promise.all(names.map(name => proofs.follow(model(name), Promise.resolve(QUICK)))),
    /** A check that ends when the test says so. */
    checking: (name: string) => {
      const { promise, resolve } = Promise.withResolvers<LoadedModel>()
      const following = proofs.follow(model(name), promise)
      return () => {
        resolve(QUICK)
        return following
      }
    },
  }
}

const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms)

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

it('proves models one after another in one process, tells which keep rows apart, and ends with the last', async () => {
  const { checked, proving, proven, stopped, ended } = fakes()
  await checked('a', 'b', 'c')
  await pass(QUIET_MS)
  expect(proving).toEqual(['a in 0'])
  await ended(true)
  expect(proving).toEqual(['a in 0', 'b in 0'])
  await ended(false)
  expect(stopped).toEqual([])
  await ended(true)
  expect(proving).toEqual(['a in 0', 'b in 0', 'c in 0'])
  expect(proven).toEqual(['a', 'c'])
  expect(stopped).toEqual([0])
})

it('begins no proof while a model is checked, nor for a while after', async () => {
  const { checked, checking, proving } = fakes()
  const endCheck = checking('slow to check')
  await checked('a')
  await pass(10 * QUIET_MS)
  expect(proving).toEqual([])
  await endCheck()
  await pass(QUIET_MS - 1)
  expect(proving).toEqual([])
  await pass(1)
  expect(proving).toEqual(['a in 0'])
})

it('lets a check that comes meanwhile go before the next proof', async () => {
  const { checked, checking, proving, ended } = fakes()
  await checked('a', 'b')
  await pass(QUIET_MS)
  const endCheck = checking('c')
  await ended(true)
  await pass(10 * QUIET_MS)
  expect(proving).toEqual(['a in 0'])
  await endCheck()
  await pass(QUIET_MS)
  expect(proving).toEqual(['a in 0', 'b in 0'])
})

it('proves nothing of what is refused, slow, or without golden vectors', async () => {
  const { proofs, proving } = fakes()
  await proofs.follow(model('refused'), Promise.reject(new Error('golden vector 3 differs')))
  await proofs.follow(model('slow'), Promise.resolve({ ...QUICK, p99Ms: INLINE_P99_MS }))
  await proofs.follow({ file: '/bare', sha256: 'bare' }, Promise.resolve(QUICK))
  await pass(10 * QUIET_MS)
  expect(proving).toEqual([])
})

it('leaves a proof that crashed or hung at that: the next model has another process, and nobody tries it again', async () => {
  const { checked, proving, proven, stopped, ended } = fakes()
  await checked('bad', 'good')
  await pass(QUIET_MS)
  await ended(undefined)
  expect(stopped).toEqual([0])
  expect(proving).toEqual(['bad in 0', 'good in 1'])
  await ended(true)
  await checked('later')
  await pass(QUIET_MS)
  expect(proving).toEqual(['bad in 0', 'good in 1', 'later in 2'])
  expect(proven).toEqual(['good'])
})

it('proves nothing any more when it is stopped', async () => {
  const { proofs, checked, proving, stopped, ended } = fakes()
  await checked('a', 'b')
  await pass(QUIET_MS)
  await proofs.stop()
  expect(stopped).toEqual([0])
  await ended(undefined)
  await checked('c')
  await pass(10 * QUIET_MS)
  expect(proving).toEqual(['a in 0'])
})
