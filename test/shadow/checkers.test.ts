import { expect, it } from 'vitest'
import type { LoadedModel, VerifyModel } from '../../src/scoring/message.ts'
import { Checkers } from '../../src/shadow/checkers.ts'

const LOADED: LoadedModel = { inputs: [], outputs: [], p99Ms: 0.1 }
const model = (sha256: string): VerifyModel => ({ file: `/${sha256}`, sha256 })

/** Processes whose loads end when the test says so. */
function fakes(options: { slowMs?: number; idleMs?: number } = {}) {
  const under: { process: number; sha256: string; end: (error?: Error) => void }[] = []
  const stopped: number[] = []
  let started = 0
  const checkers = new Checkers({
    ...options,
    start: () => {
      const process = started++
      return {
        load: ({ sha256 }) =>
          new Promise((resolve, reject) => {
            under.push({ process, sha256, end: error => (error === undefined ? resolve(LOADED) : reject(error)) })
          }),
        stop: async () => void stopped.push(process),
      }
    },
  })
  return { checkers, under, stopped, started: () => started }
}

const turn = () => new Promise(resolve => setTimeout(resolve, 1))

it('checks models one after another in one process', async () => {
  const { checkers, under, started } = fakes()
  const all = Promise.all(['a', 'b', 'c'].map(name => checkers.check(model(name))))
  for (let index = 0; index < 3; index++) {
    await turn()
    expect(under).toHaveLength(index + 1)
    under[index]!.end()
  }
  await all
  expect(started()).toBe(1)
  await checkers.stop()
})

it('lets a model that is refused take no other with it', async () => {
  const { checkers, under } = fakes()
  const bad = checkers.check(model('bad'))
  const good = checkers.check(model('good'))
  under[0]!.end(new Error('it crashed'))
  await expect(bad).rejects.toThrow('it crashed')
  await turn()
  under[1]!.end()
  expect(await good).toEqual(LOADED)
  await checkers.stop()
})

it('lets nobody wait for models that hang, however many', async () => {
  const { checkers, under, stopped } = fakes({ slowMs: 20 })
  const hung = ['h1', 'h2', 'h3'].map(name => checkers.check(model(name)))
  const good = checkers.check(model('good'))
  while (under.length < 4) await turn()
  under[3]!.end()
  expect(await good).toEqual(LOADED)
  expect(stopped, 'it is let finish: it may only be large').toEqual([])
  for (const each of under.slice(0, 3)) each.end(new Error('it hung'))
  for (const each of hung) await expect(each).rejects.toThrow('it hung')
  await turn()
  expect(stopped.toSorted()).toEqual([0, 1, 2])
  await checkers.stop()
})

it('ends its processes when there is nothing to check, and starts others when there is again', async () => {
  const { checkers, under, stopped, started } = fakes({ idleMs: 10 })
  const first = checkers.check(model('a'))
  under[0]!.end()
  await first
  while (stopped.length === 0) await turn()
  const second = checkers.check(model('b'))
  under[1]!.end()
  expect(await second).toEqual(LOADED)
  expect(started()).toBe(2)
  await checkers.stop()
})

it('refuses what waits when it is stopped, and starts nothing any more', async () => {
  const { checkers, under, started } = fakes()
  const first = checkers.check(model('a'))
  const waiting = checkers.check(model('b'))
  const refused = expect(waiting).rejects.toMatchObject({ code: 'MODEL_BROKEN' })
  await checkers.stop()
  under[0]!.end(new Error('stopped'))
  await expect(first).rejects.toThrow('stopped')
  await refused
  expect(started()).toBe(1)
})
