import { afterEach, describe, expect, test } from 'vitest'
import { heldNow } from '../../src/rollout/lock.ts'
import { pause, resume } from '../../src/rollout/pause.ts'
import { promote } from '../../src/rollout/promote.ts'
import { abort } from '../../src/rollout/rollback.ts'
import { Gateway, ROUTES } from './gateway.ts'

const AUTO = ROUTES.replace('steps: [50, 100]', 'steps: [20, 50, 100], mode: auto, every: 10m')
let gateway: Gateway
afterEach(() => gateway.remove())

async function started(text = AUTO): Promise<Gateway> {
  gateway = new Gateway(text)
  await gateway.start()
  gateway.decisions = { '1.1.0': 'promote' }
  return gateway
}
const ann = { route: 'm', who: 'ann', reason: 'a holiday' }
const byItself = (from: number) => ({
  route: 'm',
  who: 'auto',
  reason: 'all safe',
  version: '1.1.0',
  automatic: { from },
})
const raises = () => gateway.entries.filter(({ kind, phase }) => kind === 'promote' && phase === 'applied')

describe('a pause', () => {
  test('is on record with who and why, and survives a restart', async () => {
    await started()
    const { outcome } = await pause(gateway.ports, ann)
    expect(outcome).toBe('applied')
    await gateway.start()
    expect(gateway.state.paused).toEqual({ who: 'ann', reason: 'a holiday', at: gateway.now })
    expect(gateway.entries.at(-1)).toMatchObject({ kind: 'pause', who: 'ann', reason: 'a holiday' })
    // An edit does not lift it.
    await gateway.edit(text => `${text}# touched\n`)
    expect(gateway.state.paused).toMatchObject({ who: 'ann' })
  })

  test('stops what happens by itself, also what was decided before it', async () => {
    await started()
    const racing = [pause(gateway.ports, ann), promote(gateway.ports, byItself(0))]
    await expect(racing[1]).rejects.toThrow(/nothing is raised by itself now: paused by ann: a holiday/)
    await racing[0]
    expect(gateway.weights['1.1.0']).toBe(0)
  })

  test('stops neither a person’s promote nor an abort', async () => {
    await started()
    await pause(gateway.ports, ann)
    await promote(gateway.ports, { ...ann, version: '1.1.0' })
    expect(gateway.weights['1.1.0']).toBe(20)
    await abort(gateway.ports, { ...ann, version: '1.1.0' })
    expect(gateway.weights['1.1.0']).toBe(0)
    expect(gateway.state.paused).toBeDefined()
  })

  test('leaves what is held explained by the verdict of the moment', async () => {
    await started()
    gateway.decisions = { '1.1.0': 'continue' }
    await gateway.edit(text =>
      text.replace('weight: 100', 'weight: 60').replace('shadow: 100', 'shadow: 100, weight: 40'),
    )
    await pause(gateway.ports, ann)
    const explained = () => {
      const { served, ports } = gateway
      const verdict = ports.verdictNow('m', '1.1.0')
      return heldNow(served!.resolutions.m!, {
        route: served!.loaded.config.routes.m!,
        digests: { '1.0.0': 'digest of 1.0.0', '1.1.0': 'digest of 1.1.0' },
        verdicts: { '1.1.0': verdict },
      })
    }
    expect(explained()).toMatchObject([
      { wanted: 40, allowed: 0, reason: 'labels: about 1,900 more', missing: ['labels: about 1,900 more'] },
    ])
    gateway.decisions = { '1.1.0': 'promote' }
    expect(explained()).toMatchObject([{ reason: 'it is ready and waits for promote or the next save', missing: [] }])
  })

  test('keeps a held wish from rising with a save that is about something else, and at a restart', async () => {
    await started()
    gateway.decisions = { '1.1.0': 'continue' }
    await gateway.edit(text =>
      text.replace('weight: 100', 'weight: 60').replace('shadow: 100', 'shadow: 100, weight: 40'),
    )
    await pause(gateway.ports, ann)
    gateway.decisions = { '1.1.0': 'promote' }
    await gateway.edit(text => `${text}# about another route\n`)
    expect(gateway.weights['1.1.0']).toBe(0)
    gateway.overwrite(text => `${text}# while it was down\n`)
    await gateway.start()
    expect(gateway.weights['1.1.0']).toBe(0)
    // A person who writes another share asks for it.
    await gateway.edit(text => text.replace('weight: 60', 'weight: 90').replace('weight: 40', 'weight: 10'))
    expect(gateway.weights['1.1.0']).toBe(10)
  })

  test('of a paused route, and a resume of one that is not, change nothing and leave no record', async () => {
    await started()
    expect((await resume(gateway.ports, ann)).outcome).toBe('repeated')
    await pause(gateway.ports, ann)
    const before = gateway.entries.length
    expect((await pause(gateway.ports, { ...ann, who: 'bob' })).outcome).toBe('repeated')
    expect(gateway.state.paused?.who).toBe('ann')
    expect(gateway.entries).toHaveLength(before)
  })

  test('that is a rehearsal changes nothing, and one without a reason is refused', async () => {
    await started()
    expect((await pause(gateway.ports, { ...ann, dryRun: true })).outcome).toBe('dry-run')
    expect(gateway.state.paused).toBeUndefined()
    await expect(pause(gateway.ports, { ...ann, reason: ' ' })).rejects.toMatchObject({ code: 'BAD_REQUEST' })
    await expect(pause(gateway.ports, { ...ann, route: 'x' })).rejects.toMatchObject({ code: 'UNKNOWN_MODEL' })
  })

  test('works while the log cannot be written', async () => {
    await started()
    gateway.log.failing = true
    const { problems } = await pause(gateway.ports, ann)
    expect(problems).toHaveLength(1)
    await expect(promote(gateway.ports, byItself(0))).rejects.toThrow(/paused by ann/)
    gateway.log.failing = false
    await promote(gateway.ports, { ...ann, version: '1.1.0' })
    expect(gateway.kinds).toContain('pause applied')
  })

  test('ends with a resume, and with one key each is done once', async () => {
    await started()
    await pause(gateway.ports, { ...ann, key: 'p' })
    await resume(gateway.ports, { ...ann, key: 'r' })
    expect(gateway.state.paused).toBeUndefined()
    expect((await pause(gateway.ports, { ...ann, key: 'p' })).outcome).toBe('repeated')
    expect(gateway.state.paused).toBeUndefined()
    await promote(gateway.ports, byItself(0))
    expect(gateway.weights['1.1.0']).toBe(20)
  })
})

describe('a raise by itself', () => {
  test('happens once, though it was asked for twice and by a person too', async () => {
    await started(AUTO.replace('every: 10m', 'every: 0s'))
    // The fake gate says promote at every step, so only the guard keeps the second from climbing on.
    const results = await Promise.allSettled([promote(gateway.ports, byItself(0)), promote(gateway.ports, byItself(0))])
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected'])
    await Promise.allSettled([
      promote(gateway.ports, { ...ann, version: '1.1.0' }),
      promote(gateway.ports, byItself(20)),
    ])
    expect(gateway.weights['1.1.0']).toBe(50)
    expect(raises().map(({ who, to }) => `${who} ${to}`)).toEqual(['auto 20 %', 'ann 50 %'])
  })

  test('does not follow another within `every`, also over a restart, whoever raised', async () => {
    await started()
    await promote(gateway.ports, { ...ann, version: '1.1.0' })
    expect(gateway.state.raisedAt).toBe(gateway.now)
    await gateway.start()
    gateway.now += 9 * 60_000
    await expect(promote(gateway.ports, byItself(20))).rejects.toThrow(/the last raise is less than/)
    gateway.now += 60_000
    await promote(gateway.ports, byItself(20))
    expect(gateway.weights['1.1.0']).toBe(50)
  })

  test('by a hand edit counts as a raise too, a lowering does not', async () => {
    await started()
    await gateway.edit(text =>
      text.replace('weight: 100', 'weight: 80').replace('shadow: 100', 'shadow: 100, weight: 20'),
    )
    expect(gateway.weights['1.1.0']).toBe(20)
    const raisedAt = gateway.now
    expect(gateway.state.raisedAt).toBe(raisedAt)
    gateway.now += 1000
    await gateway.edit(text => text.replace('weight: 80', 'weight: 90').replace('weight: 20', 'weight: 10'))
    expect(gateway.weights['1.1.0']).toBe(10)
    expect(gateway.state.raisedAt).toBe(raisedAt)
  })

  test('after a crash between its two writes is there once or not at all', async () => {
    for (const where of ['write', 'apply'] as const) {
      await started()
      gateway.before[where] = () => gateway.crash()
      await promote(gateway.ports, byItself(0)).catch(() => {})
      // What a process that ends here leaves: `abandoned` and the taken back file were never written.
      const intent = gateway.log.records.findIndex(({ body }) => body.includes('"intent"') && body.includes('promote'))
      gateway.log.records = gateway.log.records.slice(0, intent + 1)
      await gateway.start()
      gateway.decisions = { '1.1.0': 'promote' }
      const { '1.1.0': share } = gateway.weights
      expect(share === 0 || share === 20).toBe(true)
      gateway.now += 10 * 60_000
      await promote(gateway.ports, byItself(share!))
      expect(gateway.weights['1.1.0']).toBe(share === 0 ? 20 : 50)
      if (where === 'write') gateway.remove()
    }
  })

  test('is refused where the mode has become manual meanwhile', async () => {
    await started()
    await gateway.edit(text => text.replace('mode: auto, ', ''))
    await expect(promote(gateway.ports, byItself(0))).rejects.toMatchObject({ code: 'CONFLICT' })
  })
})
