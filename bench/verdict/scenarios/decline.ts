// After the promotion: live declines at once or slowly, and the detector of declines has to say so.
import {
  ALPHA_DECLINE,
  type EpochStream,
  errorDecline,
  FRESH,
  levelOf,
  observe,
  referenceDecline,
} from '../../../src/gate/detector.ts'
import { delayFigures, type Outcome, overOptimumTarget } from '../delays.ts'
import { coinDivergence, splitInformation } from '../optimum.ts'
import { Random, seedOf } from '../random.ts'
import type { Row } from '../results.ts'
import { type Scenario, SEED, type Size, scaled } from '../scenario.ts'
import { atLeastTarget, mean } from '../statistics.ts'

const NAME = 'decline'
const REFERENCE = 0.01
const FLOOR = 0.001
/** Requests of one epoch of 10 s. */
const EPOCH = 100
/** Epochs before the decline: the detector is at rest by then. */
const QUIET_EPOCHS = 300
const STEP_LIMIT = 1.05
const RAMP_LIMIT = 1
const PATIENCE = 20
/** A level at which false alarms can be seen at all. */
const VISIBLE_ALPHA = 1e-3
/** Requests of both arms of which a holdback leaves live this share. */
const LIVE_SHARE = 0.95

type Cell =
  | { readonly kind: 'step'; readonly ratio: number; readonly by: 'reference' | 'holdback' }
  | { readonly kind: 'ramp'; readonly requests: number }
  | { readonly kind: 'none' }

const CELLS: readonly Cell[] = [
  ...[1.5, 2, 3, 5].map(ratio => ({ kind: 'step', ratio, by: 'reference' }) as const),
  ...[2, 5].map(ratio => ({ kind: 'step', ratio, by: 'holdback' }) as const),
  ...[100_000, 300_000, 1_000_000].map(requests => ({ kind: 'ramp', requests }) as const),
  { kind: 'none' },
]

interface Part {
  /** Requests from the beginning of the decline to the alarm. */
  readonly at: (number | null)[]
  readonly early: number
}

export const decline: Scenario<Part> = {
  name: NAME,
  title: 'A decline after the promotion',
  about: `Epochs of 10 s with ${EPOCH} requests, error rate 1 % before. The detector at α = 10⁻⁶ an epoch, so ln(ARL) = 13.8, with the frozen reference p0 = 1 % or a holdback of 5 %. Steps after ${QUIET_EPOCHS} quiet epochs; ramps grow from 1 % to 3 % in so many requests. The clairvoyant knows every rate and crosses where Σ KL = ln(ARL). Delays are whole epochs. False alarms are counted at α = 10⁻³, where they can be seen.`,
  cells: CELLS.length,
  runs: (cell, size: Size) => (CELLS[cell]!.kind === 'none' ? scaled(size, 400, 60, 6) : scaled(size, 1_000, 150, 6)),

  measure(cell, from, to) {
    const setting = CELLS[cell]!
    const at: (number | null)[] = []
    let early = 0
    for (let run = from; run < to; run++) {
      const alarm = alarmOf(setting, new Random(SEED, seedOf(NAME), cell, run))
      if (alarm !== null && alarm <= 0) early++
      else at.push(alarm)
    }
    return { at, early }
  },

  rows: parts => CELLS.map((cell, index) => rowOf(cell, parts[index]!)),
}

/** Requests from the decline to the alarm; at most 0 when it came before, null when it never did. */
function alarmOf(cell: Cell, random: Random): number | null {
  const alpha = cell.kind === 'none' ? VISIBLE_ALPHA : ALPHA_DECLINE
  const quiet = cell.kind === 'none' ? 0 : QUIET_EPOCHS
  const last = quiet + Math.ceil((PATIENCE * optimumOf(cell)) / EPOCH)
  let state = FRESH
  for (let epoch = 0; epoch < last; epoch++) {
    const streams = [streamOf(cell, epoch - quiet, random)]
    state = observe(state, streams, epoch * 10_000)
    if (levelOf(state, streams).log >= -Math.log(alpha)) return (epoch + 1 - quiet) * EPOCH
  }
  return null
}

/** One epoch's counts as the detector takes them; `epoch` is negative before the decline. */
function streamOf(cell: Cell, epoch: number, random: Random): EpochStream {
  const isHoldback = cell.kind === 'step' && cell.by === 'holdback'
  let [live, liveErrors, held, heldErrors] = [0, 0, 0, 0]
  for (let request = 0; request < EPOCH; request++) {
    if (isHoldback && !random.chance(LIVE_SHARE)) {
      held++
      if (random.chance(REFERENCE)) heldErrors++
      continue
    }
    live++
    if (random.chance(rateAt(cell, epoch * EPOCH + request))) liveErrors++
  }
  const arms = {
    share: LIVE_SHARE,
    candidate: live,
    candidateEvents: liveErrors,
    baseline: held,
    baselineEvents: heldErrors,
  }
  const counted = isHoldback ? errorDecline([arms], FLOOR) : referenceDecline(liveErrors, live, REFERENCE)
  return { id: 'errors', metric: 'errors', share: 1, ...counted }
}

function rateAt(cell: Cell, request: number): number {
  if (request < 0 || cell.kind === 'none') return REFERENCE
  if (cell.kind === 'step') return REFERENCE * cell.ratio
  return REFERENCE * (1 + 2 * Math.min(1, request / cell.requests))
}

/** ln(ARL)/KL in requests, or where the clairvoyant's sum gets there. */
function optimumOf(cell: Cell): number {
  const needed = -Math.log(ALPHA_DECLINE)
  if (cell.kind === 'none') return (50 * EPOCH) / VISIBLE_ALPHA / PATIENCE
  if (cell.kind === 'step') {
    const rate = REFERENCE * cell.ratio
    return (
      needed /
      (cell.by === 'holdback' ? splitInformation(LIVE_SHARE, REFERENCE, rate) : coinDivergence(rate, REFERENCE))
    )
  }
  let sum = 0
  for (let request = 0; ; request++) {
    sum += coinDivergence(rateAt(cell, request), REFERENCE)
    if (sum >= needed) return request + 1
  }
}

function rowOf(cell: Cell, parts: readonly Part[]): Row {
  const outcomes: Outcome[] = parts.flatMap(part => part.at.map(at => ({ at: at ?? undefined })))
  const early = parts.reduce((sum, part) => sum + part.early, 0)
  const common = { scenario: NAME, looks: 'each epoch' }
  if (cell.kind === 'none') {
    const last = (50 * EPOCH) / VISIBLE_ALPHA
    const epochs = mean(outcomes.map(({ at }) => (at ?? last) / EPOCH))
    return {
      ...common,
      setting: 'no decline, α = 10⁻³: epochs to a false alarm',
      method: 'Understudy, frozen reference, no decline',
      figures: { delay: epochs },
      target: { figure: 'delay', kind: 'at least', limit: 1 / VISIBLE_ALPHA },
      verdict: atLeastTarget(epochs, 1 / VISIBLE_ALPHA),
      note: `runs end after ${(last / EPOCH).toLocaleString('en')} epochs`,
    }
  }
  const optimum = optimumOf(cell)
  const figures = delayFigures(outcomes, optimum)
  return {
    ...common,
    setting:
      cell.kind === 'step' ? `step to ${cell.ratio} times` : `ramp over ${cell.requests.toLocaleString('en')} requests`,
    method: `Understudy, ${cell.kind === 'step' && cell.by === 'holdback' ? 'holdback 5 %' : 'frozen reference'}, ${cell.kind}`,
    figures,
    optimum,
    ...overOptimumTarget(figures, cell.kind === 'step' ? STEP_LIMIT : RAMP_LIMIT),
    ...(early > 0 && { note: `${early} runs alarmed before the decline and are left out` }),
  }
}
