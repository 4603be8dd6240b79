// The tests of the gate by name: evidence that may be looked at after every request (GATE.md, "Primitives").
export { type Bet, logMean, logSumExp, mix, observationsNeeded } from './bet.ts'
export {
  type Bounded,
  bettingHarm,
  bettingSafe,
  confidenceSequence,
  LOSS_FRACTIONS,
  share,
  shareHarm,
  shareSafe,
} from './betting.ts'
export { type Bins, binnedHarm, binnedInterval, binnedSafe } from './binnedBetting.ts'
export { type BlockCounts, blockHarm } from './blocks.ts'
export {
  type ArmCounts,
  errorOddsHarm,
  HARM_RATIOS,
  labelOddsHarm,
  labelOddsSafe,
  latencyOddsHarm,
  type OddsBet,
  SAFE_RATIOS,
  SAFE_RATIOS_LATENCY,
} from './labelOdds.ts'
export {
  bestRho,
  dirichletMixture,
  halfNormalMixture,
  normalMixture,
  splitMixture,
  symmetricHarm,
} from './mixtures.ts'
