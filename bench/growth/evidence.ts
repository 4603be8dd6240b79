// How much memory the evidence of a candidate takes, and whether requests make it grow.
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { judgeTarget, median, pairedRatio } from '../load/statistics.ts'
import type { GrowthBench } from './bench.ts'
import type { Judged } from './growthTable.ts'
import type { Kind } from './observations.ts'

/** Means of one process; a metric slot is one metric of one candidate, over all traffic or in one segment. */
export interface EvidenceMemory {
  readonly kind: Kind
  /** Of each candidate. */
  readonly comparisons: number
  readonly counters: number
  readonly metricSlots: number
  readonly candidateBytes: number
  readonly slotBytes: number
  /** The slot with the most counters. */
  readonly largestSlot: string
  readonly largestSlotBytes: number
  /** On disk, of each candidate. */
  readonly storeBytes: number
}

export interface EvidenceGrowth {
  /** Medians over seeds. */
  readonly memory: readonly EvidenceMemory[]
  readonly comparisons: readonly Judged[]
}

const PROCESS = fileURLToPath(new URL('./evidenceProcess.ts', import.meta.url))
export const SLOT_TARGET_BYTES = 32 * 1024
const CONSTANT = 1.05
/** Enough to visit every bin of every segment. */
const EVERY_BIN = 40_000

export async function evidenceGrowth(
  bench: GrowthBench,
  counts: readonly number[],
  seeds: number,
): Promise<EvidenceGrowth> {
  const cells = [
    ...counts.map(comparisons => ({ kind: 'lifelike' as const, comparisons })),
    { kind: 'every bin' as const, comparisons: EVERY_BIN },
  ]
  const runs: EvidenceMemory[][] = cells.map(() => [])
  for (let seed = 1; seed <= seeds; seed++) {
    for (const [index, { kind, comparisons }] of cells.entries()) {
      bench.tell(`evidence: ${comparisons} comparisons, ${kind}, ${seed} of ${seeds}`)
      const args = ['--expose-gc', PROCESS, kind, String(comparisons), String(seed), bench.home()]
      const { stdout } = await promisify(execFile)(process.execPath, args)
      runs[index]!.push(JSON.parse(stdout) as EvidenceMemory)
    }
  }
  const most = runs.at(-2)!
  const judged = (question: string, over: readonly number[], under: readonly number[], target: number): Judged => {
    const ratio = pairedRatio(over, under)
    return { question, ratio, target, verdict: bench.quick ? undefined : judgeTarget(ratio, target) }
  }
  const bytes = (of: readonly EvidenceMemory[], figure: 'candidateBytes' | 'slotBytes' | 'largestSlotBytes') =>
    of.map(each => each[figure])
  const limit = most.map(() => SLOT_TARGET_BYTES)
  const [before, last] = counts.slice(-2)
  return {
    memory: runs.map(medians),
    comparisons: [
      judged(
        `memory of evidence, ${last} / ${before} comparisons`,
        bytes(most, 'candidateBytes'),
        bytes(runs.at(-3)!, 'candidateBytes'),
        CONSTANT,
      ),
      // No traffic can fill more bins: what it takes with all of them is where it ends.
      judged(
        `memory of evidence, ${last} comparisons / every bin filled`,
        bytes(most, 'candidateBytes'),
        bytes(runs.at(-1)!, 'candidateBytes'),
        1,
      ),
      judged(`a metric slot on average / 32 KB, ${last} comparisons`, bytes(most, 'slotBytes'), limit, 1),
      judged(`the largest metric slot / 32 KB, ${last} comparisons`, bytes(most, 'largestSlotBytes'), limit, 1),
      judged('a metric slot on average / 32 KB, every bin filled', bytes(runs.at(-1)!, 'slotBytes'), limit, 1),
      judged('the largest metric slot / 32 KB, every bin filled', bytes(runs.at(-1)!, 'largestSlotBytes'), limit, 1),
    ],
  }
}

function medians(runs: readonly EvidenceMemory[]): EvidenceMemory {
  const of = (figure: keyof EvidenceMemory) => median(runs.map(run => run[figure] as number))
  return {
    ...runs[0]!,
    counters: of('counters'),
    metricSlots: of('metricSlots'),
    candidateBytes: of('candidateBytes'),
    slotBytes: of('slotBytes'),
    largestSlotBytes: of('largestSlotBytes'),
    storeBytes: of('storeBytes'),
  }
}
