import { expect, it, vi } from 'vitest'
import { Meters } from '../../src/control/meters.ts'
import type { Snapshot } from '../../src/rollout/snapshot.ts'
import type { Metrics } from '../../src/telemetry/metrics.ts'

it('accounts for the mirror of every candidate that an epoch counted, whichever epoch that was', () => {
  const accounting = vi.fn()
  const meters = new Meters({ accounting } as unknown as Metrics)
  const versions = [{ version: '1.0.0' }, { version: '2.0.0', evidenceKey: 'k' }]
  const snapshot = { routes: [{ name: 'm', versions }] } as unknown as Snapshot
  const empty = { epoch: 1, counters: new Map(), pending: [] }
  meters.committed([], snapshot)
  meters.committed([empty], snapshot)
  expect(accounting).not.toHaveBeenCalled()
  const counted = { ...empty, epoch: 2, counters: new Map([['k', new Map([['mirror.eligible', 3]])]]) }
  meters.committed([empty, counted], snapshot)
  expect(accounting).toHaveBeenCalledTimes(1)
  expect(accounting).toHaveBeenCalledWith('m', '2.0.0', expect.objectContaining({ eligible: 3 }))
})
