// What blocks of live errors say against a candidate: by how much it failed more, and how often. Knows no policy.
import { type Bet, mix } from './bet.ts'
import { bettingHarm } from './betting.ts'
import { symmetricHarm } from './mixtures.ts'

/** Blocks of `gate.blocks`; d is the candidate's errors less the control cohort's in one block. */
export interface BlockCounts {
  readonly blocks: number
  /** Σ max(d, 0) and Σ max(−d, 0). */
  readonly plus: number
  readonly minus: number
  /** Σ d². */
  readonly squares: number
  /** Blocks with d > 0 and with d < 0; both 0 while `squares` is not: counted before signs were. */
  readonly more: number
  readonly less: number
}

/**
 * Of the mixture: P2 on signs; the rest is P3's on sizes. Tuned by `bench/micro/blocks.ts`, with and without incidents: the mean
 * delay is within a tenth of the best weight's. Sizes alone need eight to fifty times as many blocks where incidents are
 * frequent; signs alone an eighth more where there are none.
 */
export const SIGN_WEIGHT = 0.5

/**
 * Harm by blocks: H0 "given the past, a block in which the candidate has x errors more than the control cohort is no more
 * likely than one in which it has x fewer, for every x > 0". A fixed mixture of P3 on d and P2 on its sign.
 *
 * Both are supermartingales under it. P3: of a pair ±x, E[e^{λd − λ²d²/2}] ≤ cosh(λx)·e^{−λ²x²/2} ≤ 1, since leaning to
 * −x only takes from it where λ > 0. P2: the sign's mean is at most 0. Signs are there because P3 divides by Σd²: one block
 * in which an arm failed as a whole outweighs hundreds of ordinary ones, while its sign is one of many. Sizes are there
 * because signs cannot tell a block that is far worse from one that is hardly worse.
 *
 * A block must be longer than an incident: the second block of one incident is not symmetric, given the first. And the
 * candidate must not stand on more nodes that fail by themselves than the baseline: nine against one have nine times as many
 * incidents, each a ninth as bad. Identical versions on such nodes are aborted on sizes in 8 % of half a day's runs and on
 * signs nearly always, so `signs` leaves out the periods in which the candidate has the larger arm. On fewer nodes than the
 * baseline the signs lean to the baseline, which the null allows.
 *
 * A block whose sign is not bet on is a factor of 1 to P2. Where none was counted at all P3 stands alone, as it did before signs
 * were; a key that began before turns from the one supermartingale into the other once, which can at most double its α.
 *
 * @param signs of the blocks whose sign may be bet on
 */
export function blockHarm(
  counts: BlockCounts,
  alpha: number,
  signs: Pick<BlockCounts, 'more' | 'less'> = counts,
): Bet[] {
  const { blocks, plus, minus, squares } = counts
  const sizes = symmetricHarm(plus - minus, squares, blocks, alpha)
  if (counts.more + counts.less === 0) return sizes
  const often = bettingHarm(
    [
      [1, signs.more],
      [-1, signs.less],
      [0, blocks - signs.more - signs.less],
    ],
    0,
  )
  return mix([
    [1 - SIGN_WEIGHT, sizes],
    [SIGN_WEIGHT, often],
  ])
}
