import { describe, expect, it } from 'vitest'
import { SLOT } from '../../src/evidence/counters.ts'
import type { Outputs } from '../../src/evidence/outputs.ts'
import { addAgain } from '../../src/evidence/pairCount.ts'
import { OUTCOME, type RequestRecord } from '../../src/record/format.ts'
import type { SnapshotRoute } from '../../src/rollout/snapshot.ts'
import { Noise } from '../../src/shadow/noise.ts'
import { SecondRun } from '../../src/shadow/secondRun.ts'
import { Task } from '../../src/shadow/task.ts'

const route = (change: object = {}) =>
  ({
    name: 'm',
    live: '1.0.0',
    versions: [{ version: '1.0.0', digest: 'a' }],
    compare: [],
    again: 20,
    isNoisy: false,
    salts: { mirror: 'salt' },
    ...change,
  }) as unknown as SnapshotRoute
const task = (of: SnapshotRoute, id: number, change: object = {}) =>
  new Task({ serverSpanId: String(id), outcome: OUTCOME.ok, paired: false, ...change } as unknown as RequestRecord, of)
const twice = (noise: Noise, of: SnapshotRoute, change?: object) =>
  Array.from({ length: 1_000 }, (_, id) => noise.isRunTwice(task(of, id, change))).filter(Boolean).length

describe('what live scores twice', () => {
  it('is nothing without compare.again, and nothing that live did not answer', () => {
    expect(twice(new Noise(), route({ again: 0, isNoisy: true }))).toBe(0)
    expect(twice(new Noise(), route(), { outcome: OUTCOME.failed })).toBe(0)
  })

  it('is a sample, and everything once live has contradicted itself, now or before a restart', () => {
    const noise = new Noise()
    const share = twice(noise, route())
    expect(share).toBeGreaterThan(150)
    expect(share).toBeLessThan(250)
    noise.seen(route())
    expect(twice(noise, route())).toBe(1_000)
    expect(twice(new Noise(), route({ isNoisy: true }))).toBe(1_000)
  })

  it('is a sample again of other bytes, or by another comparison', () => {
    const noise = new Noise()
    noise.seen(route())
    noise.keep([route()])
    expect(twice(noise, route({ versions: [{ version: '1.0.0', digest: 'b' }] }))).toBeLessThan(250)
    expect(twice(noise, route({ compare: [{ output: 'y', tolerance: {} }] }))).toBeLessThan(250)
    expect(twice(noise, route())).toBe(1_000)
    noise.keep([])
    expect(twice(noise, route())).toBeLessThan(250)
  })
})

describe('a second run', () => {
  const of = (value: number): Outputs => ({
    tensors: [{ name: 'y', datatype: 'FP32', shape: [1], data: Float32Array.of(value) }],
  })
  const told = (run: SecondRun, first: Outputs) => {
    const all: boolean[] = []
    run.join(first, differs => all.push(differs))
    return all
  }

  it('is told once to each pair, whichever ended first', () => {
    const run = new SecondRun([])
    const early = told(run, of(1))
    expect(early).toEqual([])
    run.ended(of(2))
    expect([early, told(run, of(1)), told(run, of(2))]).toEqual([[true], [true], [false]])
  })

  it('that gave no answer says nothing', () => {
    const run = new SecondRun([])
    const early = told(run, of(1))
    run.ended(undefined)
    expect([early, told(run, of(1))]).toEqual([[], []])
  })

  it('counts for the candidate what live did itself', () => {
    const counted = (candidateDiffers: boolean, secondDiffers: boolean) => {
      const slots = new Map<string, number>()
      addAgain(slots, candidateDiffers, secondDiffers)
      return [...slots.keys()]
    }
    expect(counted(false, false)).toEqual([SLOT.againZero])
    expect(counted(true, false)).toEqual([SLOT.againPlus])
    expect(counted(false, true)).toEqual([SLOT.againMinus, SLOT.againDiffers])
    expect(counted(true, true)).toEqual([SLOT.againZero, SLOT.againDiffers])
  })
})
