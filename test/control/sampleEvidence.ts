// Shadow evidence of a candidate that differs in two of a thousand requests.
import type { Evidence } from '../../src/gate/evidence.ts'

export const sampleEvidence: Evidence = {
  route: 'm',
  baseline: { version: '1.0.0', digest: 'baseline' },
  candidate: { version: '2.0.0', digest: 'candidate' },
  attempt: 1,
  candidates: 1,
  periods: [
    {
      key: 'k',
      stage: 'shadow',
      step: 0,
      share: 0,
      counters: new Map([
        ['pair.match', 49_900],
        ['pair.mismatch', 100],
        ['pair.ok', 50_000],
        ['time.ms', 3_600_000],
      ]),
    },
  ],
  stepElapsedMs: 3_600_000,
  mirrored: { eligible: 50_000, dropped: 0 },
}
