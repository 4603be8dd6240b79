// How many observations the best sequential test of power one needs: ln(1/α)/KL (Wald 1945; Lorden 1970). Pure.

/** Kullback-Leibler divergence of two coins, natural logarithm. */
export function coinDivergence(p: number, q: number): number {
  const part = (x: number, y: number) => (x === 0 ? 0 : x * Math.log(x / y))
  return part(p, q) + part(1 - p, 1 - q)
}

/**
 * What one request of the split tells about "both arms fail alike": the divergence of (arm, outcome) from independence,
 * with the candidate's share known. w = .5, 1 % → 2 %: 4.605/8.62e-4 = 5,341 requests at α = 1 %.
 */
export function splitInformation(share: number, baselineRate: number, candidateRate: number): number {
  return splitInformationAt(share, baselineRate, candidateRate, 1)
}

/**
 * The same against "the candidate's rate is `ratio` times the baseline's", for the worst of these nulls: the smallest
 * divergence over the unknown base rate (a golden-section search; the divergence is convex in it).
 */
export function splitInformationAt(share: number, baselineRate: number, candidateRate: number, ratio: number): number {
  const divergence = (base: number) =>
    (1 - share) * coinDivergence(baselineRate, base) + share * coinDivergence(candidateRate, ratio * base)
  const golden = (Math.sqrt(5) - 1) / 2
  let [low, high] = [1e-12, Math.min(1 - 1e-12, (1 - 1e-12) / ratio)]
  for (let step = 0; step < 200; step++) {
    const left = high - golden * (high - low)
    const right = low + golden * (high - low)
    if (divergence(left) < divergence(right)) high = right
    else low = left
  }
  return divergence((low + high) / 2)
}

/**
 * The best growth per observation against "the mean is at most m" for values in [−1, 1] that are only known to be bounded:
 * max over λ of E ln(1 + λ(X − m)) (Honda & Takemura 2010), for a sample that stands for the truth.
 */
export function boundedGrowth(sample: Float64Array, m: number): number {
  const growth = (lambda: number) => {
    let sum = 0
    for (const x of sample) sum += Math.log1p(lambda * (x - m))
    return sum / sample.length
  }
  let [low, high] = [0, 0.999 / (1 + m)]
  for (let step = 0; step < 60; step++) {
    const left = low + (high - low) / 3
    const right = high - (high - low) / 3
    if (growth(left) < growth(right)) low = left
    else high = right
  }
  return growth((low + high) / 2)
}
