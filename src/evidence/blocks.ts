// Turns the errors of a canary and of its control cohort into blocks of time, at whose ends they are judged. Pure.
import { EPOCH_MS } from '../record/clock.ts'
import { count, SLOT } from './counters.ts'
import { type CounterDeltas, type EpochDelta, slotsOf } from './epochPost.ts'

/** How an evidence key is counted in blocks. */
export interface BlockSetting {
  /** Length of a block, ms. */
  readonly blocksMs: number
  /** The candidate has the larger arm: a part of it is held against all of the baseline. */
  readonly isThinned: boolean
}

/** A block that is not over. */
export interface OpenBlock {
  readonly index: number
  readonly candidateErrors: number
  readonly controlErrors: number
}

export type OpenBlocks = ReadonlyMap<string, OpenBlock>

/**
 * The blocks that are open after some more epochs, and what the ones that ended add to the counters: one block, and
 * d = the candidate's errors less the control cohort's as its sign, max(d, 0), max(−d, 0) and d².
 *
 * A block ends with the first epoch beyond it, of whatever key. One in which neither arm had a request is none. Under the
 * null both cohorts are alike, so that the mean of d is at most 0 however errors come in bursts.
 */
export function nextBlocks(
  open: OpenBlocks,
  epochs: readonly EpochDelta[],
  settingOf: (key: string) => BlockSetting | undefined,
): { readonly open: OpenBlocks; readonly ended: CounterDeltas } {
  const next = new Map(open)
  const ended: CounterDeltas = new Map()
  for (const { epoch, counters } of epochs) {
    for (const [key, block] of next) {
      const setting = settingOf(key)
      if (setting !== undefined && block.index >= indexOf(epoch, setting)) continue
      // A key that is not counted in blocks any more leaves a part of one behind.
      if (setting !== undefined) countBlock(ended, key, block)
      next.delete(key)
    }
    for (const [key, slots] of counters) {
      const setting = settingOf(key)
      if (setting === undefined) continue
      const at = (slot: string) => slots.get(slot) ?? 0
      const requests = at(SLOT.armControl) + at(setting.isThinned ? SLOT.armThinned : SLOT.armCandidate)
      if (requests === 0) continue
      const block = next.get(key) ?? { index: indexOf(epoch, setting), candidateErrors: 0, controlErrors: 0 }
      const errors = at(setting.isThinned ? SLOT.armThinnedError : SLOT.armCandidateError)
      next.set(key, {
        index: block.index,
        candidateErrors: block.candidateErrors + errors,
        controlErrors: block.controlErrors + at(SLOT.armControlError),
      })
    }
  }
  return { open: next, ended }
}

function indexOf(epoch: number, { blocksMs }: BlockSetting): number {
  return Math.floor((epoch * EPOCH_MS) / blocksMs)
}

function countBlock(ended: CounterDeltas, key: string, { candidateErrors, controlErrors }: OpenBlock): void {
  const d = candidateErrors - controlErrors
  const slots = slotsOf(ended, key)
  count(slots, SLOT.blocks)
  if (d === 0) return
  count(slots, d > 0 ? SLOT.blockMore : SLOT.blockLess)
  count(slots, d > 0 ? SLOT.blockPlus : SLOT.blockMinus, Math.abs(d))
  count(slots, SLOT.blockSquares, d * d)
}
