import { afterEach, describe, expect, test } from 'vitest'
import { overrideNotices, waiverOf } from '../../src/rollout/override.ts'
import { promote } from '../../src/rollout/promote.ts'
import { Gateway, ROUTES } from './gateway.ts'

const WITH = ROUTES.replace(
  '1.1.0: { onnx: m/1.1.0, shadow: 100 }',
  '1.1.0: { onnx: m/1.1.0, shadow: 100, override: { metrics: [disagreement], reason: known, until: 2026-12-01 } }',
)
const END = Date.parse('2026-12-02T00:00:00Z')
const OWN = 'digest of 1.1.0'
let gateway: Gateway
afterEach(() => gateway.remove())

async function started(text = WITH): Promise<Gateway> {
  gateway = new Gateway(text)
  await gateway.start()
  return gateway
}
const waived = (digest = OWN, now = 0) => waiverOf(gateway.state, '1.1.0', digest, now)

describe('an override', () => {
  test('waives its metrics for the bytes that it was applied to, until the end of its day', async () => {
    await started()
    expect(waived()).toEqual({ metrics: ['disagreement'], reason: 'known', until: END, expired: false })
    expect(waived(OWN, END - 1)?.expired).toBe(false)
    expect(waived(OWN, END)?.expired).toBe(true)
    expect(waived('other bytes')).toBeUndefined()
    expect(waiverOf(gateway.state, '1.0.0', 'digest of 1.0.0', 0)).toBeUndefined()
    expect(waiverOf(null, '1.1.0', OWN, 0)).toBeUndefined()
  })

  test('stays with those bytes when others come under the name, which is said, over a restart too', async () => {
    await started()
    gateway.digests['1.1.0'] = 'rebuilt'
    await gateway.edit(text => `${text}# touched\n`)
    await gateway.start()
    expect(waived('rebuilt')).toBeUndefined()
    expect(waived(OWN)).toBeDefined()
    expect(gateway.served!.resolutions.m!.notices).toEqual([
      'the override of 1.1.0 is for other bytes than the ones that it has now: edit it to apply it to these',
    ])
    // Edited, it is applied anew.
    await gateway.edit(text => text.replace('reason: known', 'reason: looked at again'))
    expect(waived('rebuilt')?.reason).toBe('looked at again')
    expect(waived(OWN)).toBeUndefined()
    expect(overrideNotices(gateway.state, { '1.1.0': 'rebuilt' })).toEqual([])
  })

  test('of a version that does not load is applied when it does', async () => {
    gateway = new Gateway(WITH)
    gateway.digests['1.1.0'] = undefined
    await gateway.start()
    expect(gateway.state.overrides).toBeUndefined()
    gateway.digests['1.1.0'] = OWN
    await gateway.reread()
    expect(waived()).toBeDefined()
  })

  test('is on record each time it is applied, renewed or taken out, and not when something else is edited', async () => {
    await started(ROUTES)
    await gateway.edit(() => WITH)
    expect(gateway.entries.at(-1)).toMatchObject({
      kind: 'override',
      who: 'routes.yaml',
      reason: 'override of 1.1.0 applied to digest of 1.: disagreement until 2026-12-01 (known)',
    })
    await gateway.edit(text => text.replace('2026-12-01', '2026-12-31'))
    expect(gateway.entries.at(-1)).toMatchObject({ kind: 'override', reason: expect.stringMatching(/applied anew/) })
    await gateway.edit(text => `${text}# touched\n`)
    expect(gateway.entries.at(-1)!.kind).toBe('edit')
    await gateway.edit(() => ROUTES)
    expect(gateway.entries.at(-1)).toMatchObject({ kind: 'override', reason: 'the override of 1.1.0 is taken out' })
    expect(gateway.state.overrides).toBeUndefined()
  })

  test('that is taken out or changed in a save raises nobody in that save', async () => {
    await started()
    gateway.decisions = { '1.1.0': 'promote' }
    await gateway.edit(() =>
      ROUTES.replace('weight: 100', 'weight: 50').replace('shadow: 100', 'shadow: 100, weight: 50'),
    )
    expect(gateway.weights['1.1.0']).toBe(0)
    expect(gateway.held).toEqual([
      '1.1.0: its override changes with this save: the next save, or promote, is judged by the new one',
    ])
    await gateway.edit(text => `${text}# once more\n`)
    expect(gateway.weights['1.1.0']).toBe(50)
  })

  test('outlives promote, which keeps its lines in the file', async () => {
    await started()
    gateway.decisions = { '1.1.0': 'promote' }
    await promote(gateway.ports, { route: 'm', who: 'ann', reason: '', version: '1.1.0' })
    expect(gateway.text).toContain('override: { metrics: [disagreement], reason: known, until: 2026-12-01 }')
    expect(waived()).toBeDefined()
  })
})
