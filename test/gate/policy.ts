// A policy as routes.yaml gives it, evidence in one line, and seeded randomness for tests of the gate.
import { Route } from '../../src/config/schema.ts'
import type { Evidence, Period, Policy } from '../../src/gate/evidence.ts'

/** The policy of a route entry with these settings; everything else by default. */
export function policyOf(settings: Record<string, unknown> = {}): Policy {
  const { expect, labels, gate } = Route.parse({
    live: '1.0.0',
    versions: { '1.0.0': { onnx: 'm/1.0.0', weight: 100 } },
    ...settings,
  })
  return { expect, labels, gate }
}

export function period(
  settings: Partial<Omit<Period, 'counters'>> & { counters?: Record<string, number> } = {},
): Period {
  const { counters = {}, ...rest } = settings
  const stage = rest.stage ?? 'shadow'
  return {
    key: 'k',
    stage,
    step: stage === 'shadow' ? 0 : 50,
    share: stage === 'shadow' ? 0 : (rest.step ?? 50) / 100,
    ...rest,
    counters: new Map(Object.entries(counters)),
  }
}

export function evidenceOf(periods: readonly Period[], settings: Partial<Evidence> = {}): Evidence {
  return {
    route: 'flight-delay',
    baseline: { version: '1.0.0', digest: 'b' },
    candidate: { version: '1.1.0', digest: 'c' },
    attempt: 1,
    candidates: 1,
    stepElapsedMs: 7_200_000,
    mirrored: { eligible: 0, dropped: 0 },
    ...settings,
    periods,
  }
}

/** Uniform numbers in [0, 1) from a seed (mulberry32). */
export function uniform(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
}
