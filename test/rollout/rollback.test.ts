import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { UnderstudyError } from '../../src/errors.ts'
import { promote } from '../../src/rollout/promote.ts'
import { recordReloadFailure, reload } from '../../src/rollout/reload.ts'
import { abort, clear, rollback } from '../../src/rollout/rollback.ts'
import { Gateway, ROUTES } from './gateway.ts'

let gateway: Gateway
const ask = { route: 'm', version: '1.1.0', who: 'ada', reason: 'it is worse' }
const back = { route: 'm', who: 'ada', reason: 'it is worse' }
const codeOf = (promise: Promise<unknown>) =>
  promise.then(
    () => 'resolved',
    error => (error instanceof UnderstudyError ? error.code : String(error)),
  )

beforeEach(async () => {
  gateway = new Gateway(ROUTES)
  gateway.decisions = { '1.1.0': 'promote' }
  await gateway.start()
})
afterEach(() => gateway.remove())

const toLive = async () => {
  await promote(gateway.ports, ask)
  await promote(gateway.ports, ask)
  expect(gateway.live).toBe('1.1.0')
}

describe('rollback', () => {
  test('with nothing to go back to is a conflict', async () => {
    expect(await codeOf(rollback(gateway.ports, back))).toBe('CONFLICT')
    expect(await codeOf(rollback(gateway.ports, { ...back, route: 'other' }))).toBe('UNKNOWN_MODEL')
    expect(await codeOf(rollback(gateway.ports, { ...back, version: '9.0.0' }))).toBe('UNKNOWN_VERSION')
  })

  test('puts the previous live back with 100 and latches what was live', async () => {
    await toLive()
    const { outcome, diff, problems } = await rollback(gateway.ports, back)
    expect([outcome, problems, gateway.live, gateway.weights]).toEqual([
      'applied',
      [],
      '1.0.0',
      { '1.0.0': 100, '1.1.0': 0 },
    ])
    expect(gateway.text).toBe(ROUTES.replace('shadow: 100 }', 'shadow: 100, weight: 0 }'))
    expect(diff).toContain('+    live: 1.0.0 # the lead')
    expect(gateway.state.latches['digest of 1.1.0']).toMatchObject({ kind: 'rollback', reason: 'it is worse' })
    await gateway.edit(text => text.replace('weight: 100', 'weight: 50').replace('weight: 0', 'weight: 50'))
    expect([gateway.weights['1.1.0'], gateway.held]).toEqual([
      0,
      ['1.1.0: 1.1.0 was rolled back (it is worse); clear it first'],
    ])
  })

  test('serves before it writes the file', async () => {
    await toLive()
    gateway.before.write = () => expect(gateway.live).toBe('1.0.0')
    expect((await rollback(gateway.ports, back)).problems).toEqual([])
  })

  test('restores the whole entry where it was deleted from the file', async () => {
    await toLive()
    await gateway.edit(text => text.replace(/.*# old\n/, ''))
    expect(gateway.weights).toEqual({ '1.1.0': 100 })
    const { entries } = await rollback(gateway.ports, back)
    expect(gateway.text).toContain('1.0.0: { onnx: m/1.0.0, weight: 100 }')
    expect([gateway.live, gateway.weights]).toEqual(['1.0.0', { '1.0.0': 100, '1.1.0': 0 }])
    expect(entries.at(-1)?.entry).toBe('{ onnx: m/1.0.0, weight: 50 }')
  })

  test('restores the entry where it was changed', async () => {
    await toLive()
    await gateway.edit(text => text.replace('onnx: m/1.0.0', 'onnx: m/elsewhere'))
    await rollback(gateway.ports, back)
    expect(gateway.loaded.config.routes.m!.versions['1.0.0']!.onnx).toBe('m/1.0.0')
  })

  test('to bytes that are not the recorded ones is a conflict, and nothing moves', async () => {
    await toLive()
    for (const digest of ['other bytes', undefined]) {
      gateway.digests = { '1.0.0': digest }
      expect(await codeOf(rollback(gateway.ports, back))).toBe('CONFLICT')
    }
    expect(gateway.live).toBe('1.1.0')
  })

  test('applies on a read-only file system, says so, and still holds after a restart', async () => {
    await toLive()
    gateway.readOnly()
    const { outcome, problems } = await rollback(gateway.ports, back)
    expect([outcome, problems]).toEqual([
      'applied',
      ['traffic is rolled back, but routes.yaml could not be written (EROFS)'],
    ])
    expect(gateway.live).toBe('1.0.0')
    await gateway.start()
    expect([gateway.live, gateway.weights]).toEqual(['1.0.0', { '1.0.0': 100, '1.1.0': 0 }])
    expect(gateway.held[0]).toContain('live stays 1.0.0')
  })

  test('applies while the log cannot be written, and is on record as soon as it can', async () => {
    await toLive()
    gateway.log.failing = true
    expect((await rollback(gateway.ports, back)).problems).toHaveLength(1)
    expect(gateway.live).toBe('1.0.0')
    await gateway.edit(text => `${text}# an edit\n`)
    expect(gateway.live).toBe('1.0.0')
    gateway.log.failing = false
    await gateway.edit(text => `${text}# another\n`)
    expect(gateway.kinds.filter(kind => kind.startsWith('rollback'))).toEqual(['rollback intent', 'rollback applied'])
    await gateway.start()
    expect(gateway.live).toBe('1.0.0')
  })

  test('that was begun when the process was killed is finished at start', async () => {
    await toLive()
    gateway.before.apply = () => {
      gateway.before = { append: () => gateway.crash(), write: () => gateway.crash() }
      gateway.crash()
    }
    await rollback(gateway.ports, back).catch(() => {})
    await gateway.start()
    expect([gateway.live, gateway.weights['1.0.0']]).toEqual(['1.0.0', 100])
    expect(gateway.kinds.at(-2)).toBe('rollback applied')
  })

  test('that a thread was late for holds over the next save', async () => {
    await toLive()
    gateway.before.apply = () => {
      throw new Error('a thread did not answer in time')
    }
    await expect(rollback(gateway.ports, back)).rejects.toThrow('did not answer in time')
    gateway.before = {}
    await gateway.edit(text => `${text}# an edit\n`)
    expect([gateway.live, gateway.state.live.version, gateway.loaded.config.routes.m?.live]).toEqual(
      Array(3).fill('1.0.0'),
    )
    expect(Object.keys(gateway.state.latches)).toEqual(['digest of 1.1.0'])
  })

  test('keeps an edit that was made meanwhile and changes only its own keys of it', async () => {
    await toLive()
    gateway.overwrite(text => `${text}# mine\n`)
    await rollback(gateway.ports, back)
    expect(gateway.text).toContain('# mine')
    expect(gateway.text).toContain('live: 1.0.0')
  })

  test('leaves a file that is broken meanwhile alone', async () => {
    await toLive()
    gateway.overwrite(() => 'routes: {')
    const { problems } = await rollback(gateway.ports, back)
    expect([problems.length, gateway.text, gateway.live]).toEqual([1, 'routes: {', '1.0.0'])
  })

  test('of a canary takes its traffic and leaves live', async () => {
    await promote(gateway.ports, ask)
    const { outcome } = await rollback(gateway.ports, ask)
    expect([outcome, gateway.live, gateway.weights]).toEqual(['applied', '1.0.0', { '1.0.0': 100, '1.1.0': 0 }])
    expect(gateway.entries.at(-1)).toMatchObject({ version: '1.1.0', from: '50 %', to: '0 %' })
  })

  test('with no previous live takes the traffic of the canaries', async () => {
    await promote(gateway.ports, ask)
    await rollback(gateway.ports, back)
    expect([gateway.weights['1.1.0'], gateway.loaded.config.routes.m!.versions['1.1.0']!.weight]).toEqual([0, 0])
  })

  test('of a version that the file names live and the lock holds names live again', async () => {
    await promote(gateway.ports, ask)
    gateway.decisions = { '1.1.0': 'continue' }
    await gateway.edit(text =>
      text
        .replace('live: 1.0.0', 'live: 1.1.0')
        .replace(/.*# old\n/, '')
        .replace('weight: 50', 'weight: 100'),
    )
    expect(gateway.weights).toEqual({ '1.0.0': 50, '1.1.0': 50 })
    await rollback(gateway.ports, ask)
    expect([gateway.live, gateway.weights]).toEqual(['1.0.0', { '1.0.0': 100, '1.1.0': 0 }])
    expect(gateway.text).toContain('live: 1.0.0')
  })

  test('twice is refused, since the version before that is unknown', async () => {
    await toLive()
    await rollback(gateway.ports, back)
    expect(await codeOf(rollback(gateway.ports, back))).toBe('CONFLICT')
  })

  test('as a dry run gives the diff and changes nothing', async () => {
    await toLive()
    const { outcome, diff } = await rollback(gateway.ports, { ...back, dryRun: true })
    expect([outcome, diff.length > 0, gateway.live]).toEqual(['dry-run', true, '1.1.0'])
  })
})

describe('abort', () => {
  test('takes the traffic, latches, and leaves the file and the shadow alone', async () => {
    await promote(gateway.ports, ask)
    const { text } = gateway
    const { outcome, diff } = await abort(gateway.ports, { ...ask, evidenceDigest: 'e' })
    expect([outcome, diff, gateway.text, gateway.weights]).toEqual(['applied', '', text, { '1.0.0': 100, '1.1.0': 0 }])
    expect(gateway.loaded.config.routes.m!.versions['1.1.0']!.shadow.percent).toBe(100)
    expect(gateway.entries.at(-1)).toMatchObject({ kind: 'abort', from: '50 %', to: '0 %', evidenceDigest: 'e' })
    await gateway.start()
    expect(gateway.weights['1.1.0']).toBe(0)
  })

  test('is done once for the same bytes', async () => {
    await abort(gateway.ports, ask)
    expect((await abort(gateway.ports, ask)).outcome).toBe('repeated')
    expect(gateway.kinds.filter(kind => kind === 'abort applied')).toHaveLength(1)
  })

  test('reaches the threads when it is asked for again after one was late', async () => {
    await promote(gateway.ports, ask)
    gateway.before.apply = () => {
      throw new Error('a thread did not answer in time')
    }
    await expect(abort(gateway.ports, ask)).rejects.toThrow('did not answer in time')
    gateway.before = {}
    expect(gateway.weights['1.1.0']).toBe(50)
    expect((await abort(gateway.ports, ask)).outcome).toBe('repeated')
    expect(gateway.weights['1.1.0']).toBe(0)
  })

  test('of live is refused', async () => {
    expect(await codeOf(abort(gateway.ports, { ...ask, version: '1.0.0' }))).toBe('CONFLICT')
  })

  test('during a promotion waits for it, and holds', async () => {
    await Promise.all([promote(gateway.ports, ask), abort(gateway.ports, ask)])
    expect(gateway.weights['1.1.0']).toBe(0)
    expect(await codeOf(promote(gateway.ports, ask))).toBe('CONFLICT')
  })
})

describe('clear', () => {
  test('needs a reason and a latch', async () => {
    expect(await codeOf(clear(gateway.ports, { ...ask, reason: ' ' }))).toBe('BAD_REQUEST')
    expect(await codeOf(clear(gateway.ports, ask))).toBe('CONFLICT')
  })

  test('lifts the latch on record and gives nothing back', async () => {
    await promote(gateway.ports, ask)
    await abort(gateway.ports, ask)
    await clear(gateway.ports, ask)
    expect([gateway.weights['1.1.0'], gateway.state.latches, gateway.state.clears]).toEqual([
      0,
      {},
      { 'digest of 1.1.0': 1 },
    ])
    expect(gateway.entries.at(-1)).toMatchObject({ kind: 'clear', who: 'ada', reason: 'it is worse' })
    await promote(gateway.ports, ask)
    expect(gateway.weights['1.1.0']).toBe(50)
  })
})

describe('reload', () => {
  test('writes nothing when nothing changed', async () => {
    await gateway.reread()
    await gateway.start()
    expect(gateway.kinds).toEqual(['start applied'])
  })

  test('puts adopt, held edits and failures on record', async () => {
    gateway.decisions = {}
    await gateway.edit(text => text.replace('weight: 100', 'weight: 60').replace('shadow: 100 }', 'weight: 40 }'))
    await gateway.edit(text => `${text}#\n`)
    await gateway.start({ adopt: true })
    recordReloadFailure(
      gateway.ports,
      new UnderstudyError('BAD_CONFIGURATION', 'routes.yaml:1:1 expected a map'),
      'abc',
    )
    expect(gateway.weights).toEqual({ '1.0.0': 60, '1.1.0': 40 })
    expect(gateway.kinds).toEqual([
      'start applied',
      'edit applied',
      'held applied',
      'adopt applied',
      'reload-failed applied',
    ])
    expect(gateway.entries[1]?.reason).toBe(
      '1.1.0 0 → 1 %; 1.0.0 100 → 99 %; 1.1.0 held at 1 % of 40 %: versions without evidence may take 1 % together',
    )
  })

  test('serves a live that a held edit dropped from the file, from its recorded entry', async () => {
    await gateway.edit(text =>
      text
        .replace('live: 1.0.0', 'live: 1.1.0')
        .replace(/.*# old\n/, '')
        .replace('shadow: 100', 'weight: 100'),
    )
    expect([gateway.live, gateway.weights]).toEqual(['1.0.0', { '1.0.0': 50, '1.1.0': 50 }])
    expect(gateway.loaded.config.routes.m!.versions['1.0.0']?.onnx).toBe('m/1.0.0')
    await gateway.start()
    expect(gateway.loaded.config.routes.m!.versions['1.0.0']?.onnx).toBe('m/1.0.0')
  })

  test('raises nobody while the log cannot be written, and lowers still', async () => {
    await promote(gateway.ports, ask)
    gateway.log.failing = true
    await gateway.edit(text =>
      text
        .replace('live: 1.0.0', 'live: 1.1.0')
        .replace('weight: 50', 'weight: 0')
        .replace('weight: 50', 'weight: 100'),
    )
    expect([gateway.live, gateway.weights['1.1.0']]).toEqual(['1.0.0', 50])
    await gateway.edit(text =>
      text
        .replace('live: 1.1.0', 'live: 1.0.0')
        .replace('weight: 0', 'weight: 90')
        .replace('weight: 100', 'weight: 10'),
    )
    expect(gateway.weights).toEqual({ '1.0.0': 90, '1.1.0': 10 })
  })

  test('goes on from what it knew where the log has an entry it cannot read, but refuses to start on it', async () => {
    gateway.decisions = {}
    gateway.log.append('rollout/m', 1, 0, '{"kind":"from the future"}')
    expect(await codeOf(reload(gateway.ports, gateway.loaded))).toBe('resolved')
    expect(await codeOf(gateway.start())).toBe('STATE_FAILED')
  })
})

describe('other routes', () => {
  const two = `${ROUTES}  n:\n    live: 1.0.0\n    versions:\n      1.0.0: { onnx: n/1.0.0, weight: 100 } # n\n      2.0.0: { onnx: n/2.0.0 }\n`

  test('keep a live that their file has dropped while this one is promoted and rolled back', async () => {
    gateway.remove()
    gateway = new Gateway(two)
    gateway.decisions = { '1.1.0': 'promote' }
    await gateway.start()
    await gateway.edit(text =>
      text
        .replace(/.*# n\n/, '')
        .replace('n:\n    live: 1.0.0', 'n:\n    live: 2.0.0')
        .replace('2.0.0 }', '2.0.0, weight: 100 }'),
    )
    const entry = () => gateway.loaded.config.routes.n!.versions['1.0.0']?.onnx
    expect([gateway.served?.resolutions.n?.live, entry()]).toEqual(['1.0.0', 'n/1.0.0'])
    await toLive()
    expect(entry()).toBe('n/1.0.0')
    await rollback(gateway.ports, back)
    expect(entry()).toBe('n/1.0.0')
  })
})

test('an abort on evidence of other bytes latches those, and leaves the present ones alone', async () => {
  await promote(gateway.ports, ask)
  await abort(gateway.ports, { ...ask, digest: 'the build before' })
  expect(gateway.weights['1.1.0']).toBe(50)
  expect(Object.keys(gateway.state.latches)).toEqual(['the build before'])
})

test('a rollback works while the evidence cannot be read', async () => {
  await toLive()
  const ports = {
    ...gateway.ports,
    verdictNow: () => {
      throw new UnderstudyError('STATE_FAILED', 'disk gone')
    },
  }
  expect((await rollback(ports, back)).outcome).toBe('applied')
  expect(gateway.live).toBe('1.0.0')
})

describe('a rollback whose file would not load', () => {
  test('takes the traffic back all the same, leaves the file, says so, and holds over a restart', async () => {
    gateway.remove()
    gateway = new Gateway(ROUTES.replace('onnx: m/1.0.0', 'url: http://a').replace('steps: [50, 100]', 'steps: [100]'))
    await gateway.start()
    gateway.decisions = { '1.1.0': 'promote' }
    await promote(gateway.ports, { route: 'm', who: 'ann', reason: '', version: '1.1.0' })
    expect(gateway.live).toBe('1.1.0')
    // The old live is gone from the file, and could not be scored twice.
    await gateway.edit(text => `${text.replace(/ {6}1\.0\.0:.*\n/, '')}    compare: { again: 5 }\n`)
    const { outcome, problems } = await rollback(gateway.ports, { route: 'm', who: 'ann', reason: 'worse' })
    expect(outcome).toBe('applied')
    expect(problems).toEqual([expect.stringMatching(/^traffic is rolled back, but routes\.yaml could not be edited/)])
    expect([gateway.live, gateway.weights['1.0.0']]).toEqual(['1.0.0', 100])
    await gateway.start()
    expect([gateway.live, gateway.weights['1.0.0'], gateway.weights['1.1.0']]).toEqual(['1.0.0', 100, 0])
  })
})
