// P3 and P4: mixtures over a whole prior, in closed form. Know nothing of what is counted.
import betaln from '@stdlib/math-base-special-betaln'
import normalLogCdf from '@stdlib/stats-base-dists-normal-logcdf'
import type { Bet } from './bet.ts'
import type { ArmCounts } from './labelOdds.ts'

/**
 * P3, two-sided: ln ∫ e^{λS − λ²V/2} dN(λ; 0, 1/ρ) = ½ln(ρ/(V + ρ)) + S²/(2(V + ρ)).
 * Howard, Ramdas, McAuliffe & Sekhon 2021, eq. 14 (confseq, TwoSidedNormalMixture).
 */
export function normalMixture(sum: number, variance: number, rho: number): number {
  return (Math.log(rho / (variance + rho)) + sum ** 2 / (variance + rho)) / 2
}

/**
 * P3, one-sided: the same over the half of the prior with λ > 0, ½ln(4ρ/(V + ρ)) + S²/(2(V + ρ)) + lnΦ(S/√(V + ρ))
 * (confseq, OneSidedNormalMixture).
 */
export function halfNormalMixture(sum: number, variance: number, rho: number): number {
  return normalMixture(sum, variance, rho) + Math.LN2 + normalLogCdf(sum / Math.sqrt(variance + rho), 0, 1)
}

/** The ρ whose bound is tightest at V = v_opt: v_opt/(2ln(1/α) + ln(1 + 2ln(1/α))) (Howard et al. 2021, prop. 3; confseq). */
export function bestRho(variance: number, alpha: number): number {
  const twice = 2 * Math.log(1 / alpha)
  return variance / (twice + Math.log1p(twice))
}

/**
 * V at which P3 is tight: after 10 blocks, a thousand, … The unit is 1, not an estimated variance: differences of errors are
 * whole numbers, so a block that differs at all adds at least 1 to V, and a variance taken from the same data would not be
 * fixed in advance. Traffic of any size lies within a factor of ten of one of the four.
 */
const OPTIMAL_VARIANCES = [10, 1e3, 1e5, 1e7] as const

/**
 * P3, harm: H0 "each difference d is symmetric around 0, given the past": E[e^{λd − λ²d²/2}] ≤ E[cosh(λd)·e^{−λ²d²/2}] ≤ 1
 * (de la Peña 1999), however heavy its tails. S = Σd, V = Σd².
 */
export function symmetricHarm(sum: number, squares: number, blocks: number, alpha: number): Bet[] {
  return OPTIMAL_VARIANCES.map(variance => {
    // One-sided: twice the α.
    const log = halfNormalMixture(sum, squares, bestRho(variance, 2 * alpha))
    return { weight: 1 / OPTIMAL_VARIANCES.length, log, rate: log / blocks }
  })
}

/**
 * P4: ln of the beta mixture against "a request falls on the candidate with probability w", prior strength κ = 100 around
 * w (Lindon & Malek 2022; optimizely/ssrm). Over periods the logarithms add: the prior starts anew with each share.
 */
export function splitMixture(
  periods: readonly Pick<ArmCounts, 'share' | 'candidate' | 'baseline'>[],
  kappa = 100,
): number {
  let log = 0
  for (const { share, candidate, baseline } of periods) {
    log += dirichletMixture([kappa * share, kappa * (1 - share)], [candidate, baseline])
    log -= candidate * Math.log(share) + baseline * Math.log1p(-share)
  }
  return log
}

/** ln of the probability of a sequence of categories with these counts under a Dirichlet prior: ln B(prior + counts) − ln B(prior). */
export function dirichletMixture(prior: readonly number[], counts: readonly number[]): number {
  return logMultivariateBeta(prior.map((weight, index) => weight + (counts[index] ?? 0))) - logMultivariateBeta(prior)
}

/** ln of the multivariate beta function, B(a, b, c) = B(a, b)·B(a + b, c). */
function logMultivariateBeta(parameters: readonly number[]): number {
  let log = 0
  let sum = parameters[0] ?? 0
  for (const parameter of parameters.slice(1)) {
    log += betaln(sum, parameter)
    sum += parameter
  }
  return log
}
