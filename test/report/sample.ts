// One candidate after a shadow stage and a canary step, worse at JFK, with every kind of counter.
import { MIRROR } from '../../src/evidence/accounting.ts'
import { SLOT } from '../../src/evidence/counters.ts'
import { differenceBin, latencyBin, magnitudeBin } from '../../src/evidence/histogram.ts'
import type { Evidence, Policy } from '../../src/gate/evidence.ts'
import { judge } from '../../src/gate/verdict.ts'
import { PolicyFile } from '../../src/report/evidenceFile.ts'
import { buildReport } from '../../src/report/report.ts'
import type { Report } from '../../src/report/status.ts'

export const policy: Policy = PolicyFile.parse({
  expect: 'change',
  labels: { loss: 'brier', margin: 0.002 },
  gate: { exposure: { requests: 1000, for: '10m', atMost: '7d' } },
})

export const shadowCounters = new Map<string, number>([
  [MIRROR.eligible, 1000],
  [MIRROR.notSampled, 100],
  [MIRROR.compared, 880],
  [MIRROR.dropped('ring_full'), 5],
  [MIRROR.failed('timeout'), 4],
  [MIRROR.lost, 3],
  [SLOT.match, 800],
  [SLOT.mismatch, 80],
  [SLOT.unstable, 2],
  [SLOT.bothOk, 880],
  [SLOT.candidateError, 4],
  [`diff.${magnitudeBin(0)}`, 800],
  [`diff.${magnitudeBin(0.5)}`, 80],
  [`plat.b.${latencyBin(1)}`, 90],
  [`plat.c.${latencyBin(2)}`, 90],
  [`loss.${differenceBin(0.1)}`, 300],
  [`loss.${differenceBin(-0.05)}`, 100],
  [`${SLOT.match}@origin=JFK`, 50],
  [`${SLOT.mismatch}@origin=JFK`, 70],
  [`loss.${differenceBin(0.1)}@origin=JFK`, 250],
  [`${SLOT.match}@origin=EWR`, 750],
  [`${SLOT.mismatch}@origin=EWR`, 10],
  [`${SLOT.candidateError}@origin=EWR`, 4],
])

export const evidence: Evidence = {
  route: 'flight-delay',
  baseline: { version: '1.0.0', digest: 'a'.repeat(64) },
  candidate: { version: '1.1.0', digest: 'b'.repeat(64) },
  attempt: 1,
  candidates: 1,
  periods: [{ key: 'k1', stage: 'shadow', step: 0, share: 0, counters: shadowCounters }],
  stepElapsedMs: 600_000,
  mirrored: { eligible: 1000, dropped: 8 },
}

export const verdict = judge(evidence, policy)

export const report: Report = buildReport({
  evidence: {
    ...evidence,
    periods: evidence.periods.map(period => ({ ...period, startedAt: '2026-01-01T00:00:00Z' })),
  },
  verdict,
  manifests: { baseline: undefined, candidate: undefined },
  generatedAt: '2026-01-01T01:00:00Z',
})
