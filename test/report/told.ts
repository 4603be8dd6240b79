// Spans' words for tests: requests of one route with a shadow, as a gateway would tell them at a sampling ratio.
import type { PairCount } from '../../src/evidence/pairCount.ts'
import type { RequestCount } from '../../src/evidence/requestCount.ts'
import type { EvidenceTerms, ToldPair, ToldPlace, ToldRequest, ToldTerms } from '../../src/evidence/told.ts'

export const ORIGIN_MS = 1_790_000_000_000
export const KEY = 'risk/cccccccccccccccc/aaaaaaaaaaaaaaaa/000001'

export const terms = (change: Partial<EvidenceTerms> = {}): ToldTerms => ({
  kind: 'terms',
  route: 'risk',
  atMs: ORIGIN_MS,
  terms: {
    route: 'risk',
    key: KEY,
    baseline: { version: '1.0.0', digest: 'b'.repeat(64) },
    candidate: { version: '1.1.0', digest: 'c'.repeat(64) },
    attempt: 1,
    candidates: 1,
    stage: 'shadow',
    step: 0,
    share: 0,
    startedAt: ORIGIN_MS,
    compareDigest: 'd'.repeat(64),
    holdback: false,
    ...change,
  },
})

/** Kept where every request is. */
export const EVERY: Pick<ToldPlace, 'isHead' | 'ratio' | 'weight'> = { isHead: true, ratio: 1, weight: 1 }

export const requestCount = (change: Partial<RequestCount> = {}): RequestCount => ({
  arm: 'b',
  arms: [],
  failed: false,
  latencyMs: undefined,
  cohorts: [],
  label: undefined,
  mirrored: [KEY],
  notSampled: [],
  ...change,
})

export const pairCount = (change: Partial<PairCount> = {}): PairCount => ({
  result: 'match',
  dropped: undefined,
  errors: { baseline: false, candidate: false },
  unstable: false,
  differences: [0],
  answers: [],
  segments: [],
  latency: undefined,
  late: [],
  sampled: false,
  ...change,
})

const place = (number: number, kept: typeof EVERY) => ({
  route: 'risk',
  process: 'p',
  epoch: Math.floor(number / 100),
  originMs: ORIGIN_MS,
  id: `t${number}/s${number}`,
  ...kept,
})

export const request = (number: number, change: Partial<RequestCount> = {}, kept = EVERY): ToldRequest => ({
  kind: 'request',
  ...place(number, kept),
  startMs: ORIGIN_MS + number,
  endMs: ORIGIN_MS + number + 1,
  count: requestCount(change),
})

export const pair = (
  number: number,
  change: Partial<PairCount> = {},
  kept = EVERY,
  more: Partial<ToldPair> = {},
): ToldPair => ({
  kind: 'pair',
  ...place(number, kept),
  requestId: `id-${number}`,
  key: KEY,
  number,
  count: pairCount(change),
  again: undefined,
  predictions: undefined,
  isCut: false,
  ...more,
})
