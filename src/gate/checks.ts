// What can make the evidence itself invalid: a split that is not as declared, labels that arrive for one arm. Decides nothing.
import { SLOT } from '../evidence/counters.ts'
import type { Policy } from './evidence.ts'
import { ALPHA_SPLIT } from './levels.ts'
import { splitMixture } from './mixtures.ts'
import { arms, type SortedPeriod, sizeOf, split, tallyOf } from './periods.ts'
import { ratio, type Summary, type View } from './stream.ts'

export interface Check extends Summary {
  readonly metric: 'split' | 'arrival'
  readonly what: string
  readonly unit: string
  readonly log: number
  /** `log` at or above this is invalid. */
  readonly logNeeded: number
}

type Arms = readonly { readonly share: number; readonly candidate: number; readonly baseline: number }[]

/**
 * The checks of the policy, which share α = 0.001 equally: the split by P4, and where labels count by arms the same of
 * labelled answers, since labels that arrive for one arm more than for the other say nothing about either.
 */
export function checksOf({ policy, periods, present }: View): Check[] {
  const names = ['split', ...(policy.labels?.affectedByAnswer ? (['arrival'] as const) : [])] as const
  const logNeeded = Math.log(names.length / ALPHA_SPLIT)
  return names.map(metric => {
    const of = metric === 'split' ? requestsOf : labelledOf
    const now = of(present)
    const seen = now.reduce((sum, { candidate }) => sum + candidate, 0)
    const n = now.reduce((sum, { candidate, baseline }) => sum + candidate + baseline, 0)
    return {
      metric,
      what: metric === 'split' ? "candidate's share of live requests" : "candidate's share of labelled answers",
      unit: metric === 'split' ? 'requests' : 'labels',
      log: splitMixture(of(periods)),
      logNeeded,
      n,
      estimate: ratio(seen, n),
      limit: now.at(-1)?.share ?? null,
    }
  })
}

function requestsOf(periods: readonly SortedPeriod[]): Arms {
  return arms(periods, {
    candidate: SLOT.armCandidate,
    candidateEvents: SLOT.armCandidateError,
    baseline: SLOT.armBaseline,
    baselineEvents: SLOT.armBaselineError,
  })
}

function labelledOf(periods: readonly SortedPeriod[]): Arms {
  return split(periods).map(({ share, bySegment }) => {
    const tally = tallyOf(bySegment, '')
    return { share, candidate: sizeOf(tally.bins('arm.c.loss')), baseline: sizeOf(tally.bins('arm.b.loss')) }
  })
}

/** Whether the policy's labels come from the arms of the live split. */
export function labelsByArms(policy: Policy): boolean {
  return policy.labels?.affectedByAnswer === true
}
