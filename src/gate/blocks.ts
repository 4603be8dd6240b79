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
 * The null is about arms that are alike in size of failure: a candidate on ten nodes, each of which fails by itself, against a
 * baseline on one has more blocks that are a little worse and fewer that are far worse. A block must be longer than an
 * incident too: the second block of one incident is not symmetric, given the first.
 *
 * A block without a sign is a factor of 1 to P2, so those that were counted before signs were say nothing there; where no
 * sign was counted at all P3 stands alone, as it did. A key that began before turns from the one supermartingale into the other
 * once, which can at most double its α.
 */
export function blockHarm({ blocks, plus, minus, squares, more, less }: BlockCounts, alpha: number): Bet[] {
  const sizes = symmetricHarm(plus - minus, squares, blocks, alpha)
  if (more + less === 0) return sizes
  const signs = bettingHarm(
    [
      [1, more],
      [-1, less],
      [0, blocks - more - less],
    ],
    0,
  )
  return mix([
    [1 - SIGN_WEIGHT, sizes],
    [SIGN_WEIGHT, signs],
  ])
}
