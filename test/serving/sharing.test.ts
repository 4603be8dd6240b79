import { expect, it } from 'vitest'
import type { SnapshotRoute, SnapshotVersion } from '../../src/rollout/snapshot.ts'
import { sharingOf, Turns } from '../../src/serving/sharing.ts'

const live = { version: '1.0.0', weight: 90, shadow: { percent: 0 }, target: { kind: 'onnx' } }
const canary = { ...live, version: '1.1.0', weight: 10, evidenceKey: 'c' }
const shadow = { ...live, version: '2.0.0', weight: 0, shadow: { percent: 100 }, evidenceKey: 's' }

function sharing(versions: readonly object[], route: object = {}): string {
  return sharingOf({ live: '1.0.0', ...route } as SnapshotRoute, [live, ...versions] as SnapshotVersion[])
}

it('lets all share where nobody is compared with live', () => {
  expect(sharing([])).toBe('all')
  expect(sharing([{ ...canary, evidenceKey: undefined }])).toBe('all')
  expect(sharing([{ ...shadow, shadow: { percent: 0 } }])).toBe('all')
})

it('keeps the first of a turn alone where times are compared', () => {
  expect(sharing([canary])).toBe('rest')
  expect(sharing([shadow])).toBe('rest')
  expect(sharing([canary, { ...shadow, target: { kind: 'url' } }])).toBe('rest')
})

it('lets nobody share where each time of an arm is needed, or the other arm has no place in the line', () => {
  expect(sharing([canary], { seenUnits: new SharedArrayBuffer(8) })).toBe('none')
  expect(sharing([shadow], { seenUnits: new SharedArrayBuffer(8) })).toBe('rest')
  expect(sharing([{ ...canary, target: { kind: 'url' } }])).toBe('none')
})

it('has one first in each turn of the event loop', async () => {
  const turns = new Turns()
  const asked = () => [turns.first(), turns.first(), turns.first()]
  expect(asked()).toEqual([true, false, false])
  await new Promise(resolve => setImmediate(resolve))
  expect(asked()).toEqual([true, false, false])
})
