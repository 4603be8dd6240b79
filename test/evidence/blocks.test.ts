import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type BlockSetting, nextBlocks, type OpenBlocks } from '../../src/evidence/blocks.ts'
import type { EpochDelta } from '../../src/evidence/epochPost.ts'

// Four epochs a block.
const setting: BlockSetting = { blocksMs: 1_000, isThinned: false }
const epoch = (number: number, slots: Record<string, number>, key = 'key'): EpochDelta => ({
  epoch: number,
  counters: new Map([[key, new Map(Object.entries(slots))]]),
  pending: [],
})
const errors = (candidate: number, control: number) => ({
  'arm.c.n': 10,
  'arm.c.err': candidate,
  'arm.k.n': 10,
  'arm.k.err': control,
})
const ended = (epochs: EpochDelta[], of: (key: string) => BlockSetting | undefined = () => setting) =>
  Object.fromEntries(nextBlocks(new Map(), epochs, of).ended.get('key') ?? [])

describe('blocks of live errors', () => {
  it('are none without epochs, without requests, or where a route has none', () => {
    expect(ended([])).toEqual({})
    expect(ended([epoch(0, { 'pair.ok': 3 }), epoch(4, errors(1, 0)), epoch(7, errors(1, 0))])).toEqual({})
    expect(ended([epoch(0, errors(3, 0)), epoch(4, errors(0, 0))], () => undefined)).toEqual({})
  })

  it('end with the first epoch beyond them, and count the difference of their errors', () => {
    expect(ended([epoch(0, errors(2, 1)), epoch(3, errors(4, 0)), epoch(4, errors(9, 9))])).toEqual({
      'block.n': 1,
      'block.more': 1,
      'block.plus': 5,
      'block.squares': 25,
    })
    expect(ended([epoch(0, errors(0, 3)), epoch(4, errors(1, 1)), epoch(8, errors(0, 0))])).toEqual({
      'block.n': 2,
      'block.less': 1,
      'block.minus': 3,
      'block.squares': 9,
    })
  })

  it('end with an epoch of another key too: time passes for all of them', () => {
    const epochs = [epoch(0, errors(2, 0)), epoch(9, errors(0, 0), 'other')]
    expect(ended(epochs)).toEqual({ 'block.n': 1, 'block.more': 1, 'block.plus': 2, 'block.squares': 4 })
  })

  it('hold a part of the larger arm against all of the smaller one', () => {
    const slots = { ...errors(50, 3), 'arm.t.n': 10, 'arm.t.err': 4 }
    expect(ended([epoch(0, slots), epoch(4, slots)], () => ({ ...setting, isThinned: true }))).toEqual({
      'block.n': 1,
      'block.more': 1,
      'block.plus': 1,
      'block.squares': 1,
    })
  })

  it('leave nothing behind where a route is not counted in blocks any more', () => {
    const { open } = nextBlocks(new Map(), [epoch(0, errors(2, 0))], () => setting)
    const next = nextBlocks(open, [epoch(4, errors(2, 0))], () => undefined)
    expect([next.open.size, next.ended.size]).toEqual([0, 0])
  })

  it('are the same however their epochs are cut into commits (property)', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(5), fc.nat(5), fc.nat(3), fc.boolean()), { maxLength: 40 }), steps => {
        let number = 0
        const epochs = steps.map(([candidate, control, gap]) => {
          number += gap + 1
          return epoch(number, errors(candidate, control))
        })
        const whole = ended(epochs)
        let open: OpenBlocks = new Map()
        const parts: Record<string, number> = {}
        let waiting: EpochDelta[] = []
        for (const [at, [, , , cut]] of steps.entries()) {
          waiting.push(epochs[at]!)
          if (!cut && at < steps.length - 1) continue
          const next = nextBlocks(open, waiting, () => setting)
          open = next.open
          waiting = []
          for (const [slot, amount] of next.ended.get('key') ?? []) parts[slot] = (parts[slot] ?? 0) + amount
        }
        expect(parts).toEqual(whole)
      }),
      { seed: 3, numRuns: 200 },
    )
  })
})
