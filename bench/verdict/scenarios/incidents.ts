// Arms that fail as a whole, as a set of replicas does: A/A by blocks of a minute, by request as a warning, and a candidate
// that really fails more.
import { type BlockCounts, blockHarm, logMean, shareHarm } from '../../../src/gate/eprocess.ts'
import { ALPHA_ABORT } from '../../../src/gate/levels.ts'
import { Canary } from '../canary.ts'
import { delayFigures, type Outcome } from '../delays.ts'
import { canaryPeriod, demandEqual, judged, LIVE, logHarmOf, policyOf, weightOf } from '../model.ts'
import { Random, seedOf } from '../random.ts'
import type { Row } from '../results.ts'
import { demand, type Scenario, SEED, type Size, scaled } from '../scenario.ts'
import { falseRateTarget, rate } from '../statistics.ts'
import { ERROR_PEERS, PER_MINUTE, Series } from '../traffic.ts'

const NAME = 'incidents'
const SHARE = 0.1
const PER_BLOCK = PER_MINUTE
/** Half a day of minutes. */
const BLOCKS = 720
const STEP = 100
const BASE_RATE = 0.01
const INCIDENT = 0.02
const LEAST_RATE = 0.05
const MOST_RATE = 0.8

interface Cell {
  readonly name: string
  /** Minutes that an incident lasts. */
  readonly minutes: number
  readonly ratio: number
}
const CELLS: readonly Cell[] = [
  { name: 'A/A, incidents of a minute', minutes: 1, ratio: 1 },
  { name: 'A/A, incidents of five minutes: longer than a block', minutes: 5, ratio: 1 },
  { name: 'candidate fails 3 times as often between incidents', minutes: 1, ratio: 3 },
]

interface Part {
  readonly runs: number
  readonly byBlocks: (number | null)[]
  readonly byRequest: (number | null)[]
  /** By peer, the runs in which it was asked. */
  readonly peers: (number | null)[][]
}

export const incidents: Scenario<Part> = {
  name: NAME,
  title: 'Incidents of a whole arm',
  about: `Half a day of ${BLOCKS} minutes with ${PER_BLOCK.toLocaleString('en')} requests, w = ${SHARE}. In 2 % of the minutes an incident of the candidate's replicas begins, and apart from it of the baseline's, in which 5 to 80 % of that arm's requests fail; else 1 %. \`gate.blocks: 1m\` compares the candidate with an equal control cohort of the baseline, block by block.`,
  cells: CELLS.length,
  runs: (cell, size: Size) => (CELLS[cell]!.ratio === 1 ? scaled(size, 2_000, 300, 3) : scaled(size, 500, 100, 3)),

  measure(cell, from, to) {
    const byBlocks = policyOf({ gate: { blocks: '1m' } })
    const weight = weightOf(byBlocks, 'errors', LIVE)
    const canary = new Canary({ policy: policyOf(), shares: [SHARE], withLatency: false })
    const part: Part = { runs: to - from, byBlocks: [], byRequest: [], peers: ERROR_PEERS.map(() => []) }
    const series = new Series(BLOCKS * PER_BLOCK, STEP)
    for (let run = from; run < to; run++) {
      const random = new Random(SEED, seedOf(NAME), cell, run)
      const { floor } = byBlocks.gate.errors
      let [blocksAt, requestAt] = [null, null] as (number | null)[]
      const sums = {
        c: 0,
        cErr: 0,
        b: 0,
        bErr: 0,
        k: 0,
        kErr: 0,
        blocks: 0,
        plus: 0,
        minus: 0,
        squares: 0,
        more: 0,
        less: 0,
      }
      const until = [0, 0]
      const severity = [0, 0]
      canary.start()
      const arms = [new Float64Array(2), new Float64Array(2)] as const
      const harm = () => Math.min(logMean(blockHarm(sums, ALPHA_ABORT)), logMean(shareHarm(sums.cErr, sums.c, floor)))
      for (let block = 0; block < BLOCKS; block++) {
        for (const side of [0, 1]) {
          if (block >= until[side]! && random.chance(INCIDENT)) {
            until[side] = block + CELLS[cell]!.minutes
            severity[side] = LEAST_RATE + (MOST_RATE - LEAST_RATE) * random.uniform()
          }
        }
        const rates = [
          block < until[0]! ? severity[0]! : BASE_RATE * CELLS[cell]!.ratio,
          block < until[1]! ? severity[1]! : BASE_RATE,
        ]
        let [n, errors, cohort, cohortErrors] = [0, 0, 0, 0]
        const control: boolean[] = []
        for (let request = 0; request < PER_BLOCK; request++) {
          const isCandidate = random.chance(SHARE)
          const isError = random.chance(rates[isCandidate ? 0 : 1]!)
          if (isCandidate) {
            n++
            if (isError) errors++
          } else control.push(isError)
          const arm = arms[isCandidate ? 0 : 1]
          arm[0]!++
          if (isError) arm[1]!++
          const total = block * PER_BLOCK + request + 1
          if (total % STEP === 0) series.mark(total / STEP - 1, arms[0], arms[1])
          if (requestAt === null) {
            canary.request(isCandidate, isError, 0)
            if (canary.isAborted) {
              requestAt = block * PER_BLOCK + request + 1
              canary.verdict()
            }
          }
        }
        // A cohort of the baseline as large as the candidate's arm in the block.
        for (const isError of control.slice(0, n)) {
          cohort++
          if (isError) cohortErrors++
        }
        const d = errors - cohortErrors
        sums.c += n
        sums.cErr += errors
        sums.b += control.length
        sums.bErr += control.filter(Boolean).length
        sums.k += cohort
        sums.kErr += cohortErrors
        sums.blocks++
        if (d > 0) sums.plus += d
        else sums.minus -= d
        sums.squares += d * d
        if (d > 0) sums.more++
        if (d < 0) sums.less++
        const isEnd = block === BLOCKS - 1
        if (blocksAt === null && (isEnd || weight * Math.exp(harm()) >= 1 / ALPHA_ABORT)) {
          const verdict = judged([evidence(sums)], byBlocks)
          demandEqual(harm(), logHarmOf(verdict, 'errors', LIVE), 'errors by blocks')
          const crossed = weight * Math.exp(harm()) >= 1 / ALPHA_ABORT
          demand(
            !crossed || verdict.decision === 'abort' || verdict.decision === 'invalid',
            `the gate says ${verdict.decision} where v·E crossed`,
          )
          if (verdict.decision === 'abort') blocksAt = (block + 1) * PER_BLOCK
        }
      }
      part.byBlocks.push(blocksAt ?? null)
      part.byRequest.push(requestAt ?? null)
      for (const [index, peer] of ERROR_PEERS.entries())
        if (run % peer.every === 0) part.peers[index]!.push(peer.at(series) ?? null)
    }
    return part
  },

  rows: parts =>
    CELLS.flatMap((cell, index) => {
      const found = (of: (part: Part) => readonly (number | null)[]): Outcome[] =>
        parts[index]!.flatMap(part => of(part).map(at => ({ at: at ?? undefined })))
      return [
        rowOf(
          cell,
          'Understudy, gate.blocks: 1m',
          'each block',
          found(part => part.byBlocks),
        ),
        rowOf(
          cell,
          'Understudy, by request (without gate.blocks)',
          'each request',
          found(part => part.byRequest),
        ),
        ...ERROR_PEERS.map(({ method, looks }, peer) =>
          rowOf(
            cell,
            method,
            looks,
            found(part => part.peers[peer]!),
          ),
        ),
      ]
    }),
}

function rowOf({ name, minutes, ratio }: Cell, method: string, looks: string, outcomes: readonly Outcome[]): Row {
  const row = { scenario: NAME, setting: name, method, looks }
  if (ratio > 1) return { ...row, figures: delayFigures(outcomes, Number.NaN) }
  const falseBlock = rate(outcomes.filter(({ at }) => at !== undefined).length, outcomes.length)
  // Blocks promise it for incidents that end within one, and nothing else does.
  if (!method.includes('gate.blocks: 1m') || minutes > 1) return { ...row, figures: { falseBlock } }
  return {
    ...row,
    figures: { falseBlock },
    target: { figure: 'falseBlock', kind: 'at most', limit: 0.01, bound: 0.013 },
    verdict: falseRateTarget(falseBlock, 0.01, 0.013),
  }
}

function evidence(sums: BlockCounts & Readonly<Record<'c' | 'cErr' | 'b' | 'bErr' | 'k' | 'kErr', number>>) {
  return canaryPeriod(SHARE, {
    'arm.c.n': sums.c,
    'arm.c.err': sums.cErr,
    'arm.b.n': sums.b,
    'arm.b.err': sums.bErr,
    'arm.k.n': sums.k,
    'arm.k.err': sums.kErr,
    'block.n': sums.blocks,
    'block.plus': sums.plus,
    'block.minus': sums.minus,
    'block.squares': sums.squares,
    'block.more': sums.more,
    'block.less': sums.less,
  })
}
