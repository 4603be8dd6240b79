import { chmodSync } from 'node:fs'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { UnderstudyError } from '../../src/errors.ts'
import { history } from '../../src/rollout/log.ts'
import { promote, setWeight } from '../../src/rollout/promote.ts'
import { Gateway, ROUTES } from './gateway.ts'

let gateway: Gateway
const ask = { route: 'm', version: '1.1.0', who: 'ada', reason: 'it is better' }
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

describe('promote', () => {
  test('of an unknown route, an unknown version or of live is refused', async () => {
    expect(await codeOf(promote(gateway.ports, { ...ask, route: 'other' }))).toBe('UNKNOWN_MODEL')
    expect(await codeOf(promote(gateway.ports, { ...ask, version: '3.0.0' }))).toBe('UNKNOWN_VERSION')
    expect(await codeOf(promote(gateway.ports, { ...ask, version: '1.0.0' }))).toBe('CONFLICT')
  })

  test('without a verdict promote is refused, and nothing is written', async () => {
    for (const decision of ['continue', 'hold', 'abort', 'invalid'] as const) {
      gateway.decisions = { '1.1.0': decision }
      await expect(promote(gateway.ports, ask)).rejects.toThrow(/the gate does not promote 1.1.0/)
    }
    gateway.decisions = {}
    await expect(promote(gateway.ports, ask)).rejects.toThrow(/no evidence/)
    expect([gateway.text, gateway.kinds]).toEqual([ROUTES, ['start applied']])
  })

  test('takes a shadow to the first step, then live, and changes only the keys it needs', async () => {
    const first = await promote(gateway.ports, ask)
    expect(first.outcome).toBe('applied')
    expect(gateway.weights).toEqual({ '1.0.0': 50, '1.1.0': 50 })
    expect(gateway.text).toBe(
      ROUTES.replace('weight: 100', 'weight: 50').replace('shadow: 100 }', 'shadow: 100, weight: 50 }'),
    )
    expect(first.diff).toContain('-      1.0.0: { onnx: m/1.0.0, weight: 100 } # old')

    await promote(gateway.ports, ask)
    expect([gateway.live, gateway.weights]).toEqual(['1.1.0', { '1.0.0': 0, '1.1.0': 100 }])
    expect(gateway.text).toBe(
      ROUTES.replace('live: 1.0.0', 'live: 1.1.0')
        .replace('weight: 100', 'weight: 0')
        .replace('shadow: 100 }', 'shadow: 100, weight: 100 }'),
    )
    expect(gateway.kinds).toEqual([
      'start applied',
      'promote intent',
      'promote applied',
      'promote intent',
      'promote applied',
    ])
    expect(gateway.entries.at(-1)).toMatchObject({
      who: 'ada',
      reason: 'it is better',
      from: '1.0.0',
      to: '1.1.0',
      evidenceDigest: 'evidence at 50',
      hashAfter: gateway.hash,
    })
    expect(history(gateway.log).map(({ route }) => route)).toEqual(['m', 'm', 'm', 'm', 'm'])
  })

  test('sets the others to 0 when a version becomes live', async () => {
    gateway.remove()
    gateway = new Gateway(
      ROUTES.replace('weight: 100', 'weight: 40').replace(
        'shadow: 100 }',
        'weight: 50 }\n      1.2.0: { onnx: c, weight: 10 }',
      ),
    )
    gateway.decisions = { '1.1.0': 'promote', '1.2.0': 'promote' }
    await gateway.start({ adopt: true })
    await promote(gateway.ports, ask)
    expect(gateway.weights).toEqual({ '1.0.0': 0, '1.1.0': 100, '1.2.0': 0 })
    expect(gateway.text).toContain('1.2.0: { onnx: c, weight: 0 }')
  })

  test('survives the reload that its own write causes, and raises nobody by it', async () => {
    await promote(gateway.ports, ask)
    const { kinds } = gateway
    await gateway.reread()
    expect([gateway.weights['1.1.0'], gateway.kinds]).toEqual([50, kinds])
  })

  test('asks for the verdict inside the commit: evidence that went stale meanwhile does not promote', async () => {
    const ports = {
      ...gateway.ports,
      digests: async (route: string, versions: never) => {
        const digests = await gateway.ports.digests(route, versions)
        gateway.decisions = { '1.1.0': 'abort' }
        return digests
      },
    }
    expect(await codeOf(promote(ports as never, ask))).toBe('CONFLICT')
    expect(gateway.text).toBe(ROUTES)
  })

  test('of bytes that changed under the name is refused', async () => {
    gateway.digests = { '1.1.0': 'other bytes' }
    await expect(promote(gateway.ports, ask)).rejects.toThrow(/no evidence/)
  })

  test('sent twice with one idempotency key happens once', async () => {
    const [first, second] = await Promise.all([
      promote(gateway.ports, { ...ask, key: 'k' }),
      promote(gateway.ports, { ...ask, key: 'k' }),
    ])
    expect([first.outcome, second.outcome]).toEqual(['applied', 'repeated'])
    expect(second.entries[0]).toEqual(first.entries[1])
    expect(gateway.weights['1.1.0']).toBe(50)
  })

  test('sent twice on one base happens once, and the other is told', async () => {
    const base = gateway.entries.at(-1)!.sequence
    const both = await Promise.allSettled([
      promote(gateway.ports, { ...ask, base }),
      promote(gateway.ports, { ...ask, base }),
    ])
    expect(both.map(({ status }) => status)).toEqual(['fulfilled', 'rejected'])
    expect(gateway.weights['1.1.0']).toBe(50)
  })

  test('as a dry run gives the diff and changes nothing', async () => {
    const { outcome, diff, entries } = await promote(gateway.ports, { ...ask, dryRun: true })
    expect([outcome, entries, diff.length > 0]).toEqual(['dry-run', [], true])
    expect([gateway.text, gateway.weights['1.1.0'], gateway.kinds]).toEqual([ROUTES, 0, ['start applied']])
  })

  test('leaves the wishes of others in the file where they leave room', async () => {
    await gateway.edit(text =>
      text.replace('weight: 100', 'weight: 80').replace('# new\n', '# new\n      1.2.0: { onnx: c, weight: 20 }\n'),
    )
    expect(gateway.weights).toEqual({ '1.0.0': 99, '1.1.0': 0, '1.2.0': 1 })
    await promote(gateway.ports, ask)
    expect(gateway.text).toContain('1.2.0: { onnx: c, weight: 20 }')
    expect(gateway.loaded.config.routes.m!.versions['1.0.0']!.weight).toBe(30)
    expect(gateway.weights).toEqual({ '1.0.0': 49, '1.1.0': 50, '1.2.0': 1 })
  })

  test('writes what serves where the wishes of others leave no room', async () => {
    await gateway.edit(text =>
      text.replace('weight: 100', 'weight: 20').replace('# new\n', '# new\n      1.2.0: { onnx: c, weight: 80 }\n'),
    )
    await promote(gateway.ports, ask)
    expect(gateway.text).toContain('1.2.0: { onnx: c, weight: 1 }')
    expect(gateway.weights).toEqual({ '1.0.0': 49, '1.1.0': 50, '1.2.0': 1 })
  })

  test('carries out a raise that was held', async () => {
    gateway.decisions = { '1.1.0': 'continue' }
    await gateway.edit(text =>
      text.replace('weight: 100', 'weight: 50').replace('shadow: 100 }', 'weight: 50, shadow: 100 }'),
    )
    expect([gateway.weights['1.1.0'], gateway.held]).toEqual([0, ['1.1.0: labels: about 1,900 more']])
    gateway.decisions = { '1.1.0': 'promote' }
    await gateway.reread()
    expect(gateway.weights['1.1.0']).toBe(0)
    const { diff } = await promote(gateway.ports, ask)
    expect([gateway.weights['1.1.0'], diff]).toEqual([50, ''])
  })
})

describe('an edit at the same time', () => {
  test('that is not loaded yet is a conflict, and stays', async () => {
    gateway.overwrite(text => `${text}# mine\n`)
    expect(await codeOf(promote(gateway.ports, ask))).toBe('CONFLICT')
    expect(gateway.text).toBe(`${ROUTES}# mine\n`)
  })

  test('between the intent and the write is a conflict, and stays', async () => {
    gateway.before.append = body => {
      if (body.includes('"phase":"intent"')) gateway.overwrite(text => `${text}# mine\n`)
    }
    expect(await codeOf(promote(gateway.ports, ask))).toBe('CONFLICT')
    expect(gateway.text).toBe(`${ROUTES}# mine\n`)
    expect(gateway.kinds.slice(1)).toEqual(['promote intent', 'promote abandoned'])
    expect(gateway.weights['1.1.0']).toBe(0)
  })

  test('by another writer of the log is a conflict', async () => {
    gateway.before.append = () => {
      gateway.before = {}
      gateway.log.append(
        'rollout/m',
        gateway.entries.at(-1)!.sequence,
        0,
        JSON.stringify({ kind: 'held', phase: 'applied', who: 'other', reason: 'x' }),
      )
    }
    expect(await codeOf(promote(gateway.ports, ask))).toBe('CONFLICT')
    expect(gateway.text).toBe(ROUTES)
  })
})

describe('a file that may not or cannot be written', () => {
  test('gives the patch and applies nothing with write: patch', async () => {
    await gateway.edit(text => text.replace('[50, 100]', '[50, 100], write: patch'))
    const { outcome, diff } = await promote(gateway.ports, ask)
    expect([outcome, diff.includes('weight: 50')]).toEqual(['patch', true])
    expect([gateway.weights['1.1.0'], gateway.kinds.some(kind => kind.startsWith('promote'))]).toEqual([0, false])
  })

  test('gives the patch and applies nothing on a read-only file system', async () => {
    gateway.readOnly()
    const { outcome, problems } = await promote(gateway.ports, ask)
    expect([outcome, problems]).toEqual(['patch', ['routes.yaml cannot be written: EROFS']])
    expect([gateway.text, gateway.weights['1.1.0'], gateway.kinds.at(-1)]).toEqual([ROUTES, 0, 'promote abandoned'])
  })

  test.skipIf(process.getuid?.() === 0)('gives the patch where the folder refuses', async () => {
    chmodSync(gateway.folder, 0o500)
    expect((await promote(gateway.ports, ask)).outcome).toBe('patch')
  })
})

describe('a failure half way', () => {
  test('of the log means that nothing happens', async () => {
    gateway.log.failing = true
    expect(await codeOf(promote(gateway.ports, ask))).toBe('STATE_FAILED')
    expect([gateway.text, gateway.weights['1.1.0']]).toEqual([ROUTES, 0])
  })

  test('of the threads takes file and traffic back', async () => {
    gateway.before.apply = () => {
      gateway.before = {}
      throw new Error('thread 3 has not acknowledged')
    }
    await expect(promote(gateway.ports, ask)).rejects.toThrow('thread 3')
    expect([gateway.text, gateway.weights, gateway.kinds.at(-1)]).toEqual([
      ROUTES,
      { '1.0.0': 100, '1.1.0': 0 },
      'promote abandoned',
    ])
  })

  test('of the last entry is made good as soon as the log can be written', async () => {
    gateway.before.apply = () => {
      gateway.log.failing = true
    }
    const { outcome, problems } = await promote(gateway.ports, ask)
    expect([outcome, problems.length]).toEqual(['applied', 1])
    gateway.log.failing = false
    gateway.before = {}
    await promote(gateway.ports, ask)
    expect(gateway.live).toBe('1.1.0')
    expect(gateway.kinds.slice(1)).toEqual(['promote intent', 'promote applied', 'promote intent', 'promote applied'])
  })
})

// The process is killed before each of the writes in turn; then it starts again.
describe('killed', () => {
  const kill = async (where: 'append' | 'write' | 'apply', when: (text: string) => boolean) => {
    gateway.before[where] = (what: unknown) => {
      if (typeof what !== 'string' || when(what)) {
        // Nothing after this point may reach the disk.
        gateway.before = { append: () => gateway.crash(), write: () => gateway.crash(), apply: () => gateway.crash() }
        gateway.crash()
      }
    }
    await promote(gateway.ports, ask).catch(() => {})
    await gateway.start()
  }

  test('before the intent has not promoted', async () => {
    await kill('append', body => body.includes('"phase":"intent"'))
    expect([gateway.text, gateway.weights['1.1.0'], gateway.kinds]).toEqual([ROUTES, 0, ['start applied']])
  })

  test('before the rename has not promoted', async () => {
    await kill('write', () => true)
    expect([gateway.text, gateway.weights['1.1.0'], gateway.kinds.at(-1)]).toEqual([ROUTES, 0, 'promote abandoned'])
  })

  test('after the rename has promoted', async () => {
    await kill('apply', () => true)
    expect([gateway.weights['1.1.0'], gateway.kinds.slice(1)]).toEqual([50, ['promote intent', 'promote applied']])
  })

  test('before the last entry has promoted', async () => {
    await kill('append', body => body.includes('"promote","phase":"applied"'))
    expect([gateway.weights['1.1.0'], gateway.kinds.at(-1)]).toEqual([50, 'promote applied'])
    await gateway.start()
    expect(gateway.weights['1.1.0']).toBe(50)
  })

  test('after the rename, then edited by hand, is held against the state before', async () => {
    gateway.before.apply = () => {
      gateway.before = { append: () => gateway.crash(), write: () => gateway.crash() }
      gateway.crash()
    }
    await promote(gateway.ports, ask).catch(() => {})
    gateway.overwrite(text => `${text}# mine\n`)
    gateway.decisions = {}
    await gateway.start()
    expect([gateway.weights['1.1.0'], gateway.kinds[2]]).toEqual([1, 'promote abandoned'])
  })
})

describe('set-weight', () => {
  test('lowers without a licence', async () => {
    await promote(gateway.ports, ask)
    gateway.decisions = { '1.1.0': 'continue' }
    const { outcome } = await setWeight(gateway.ports, { ...ask, weight: 20 })
    expect([outcome, gateway.weights]).toEqual(['applied', { '1.0.0': 80, '1.1.0': 20 }])
    expect(gateway.entries.at(-1)).toMatchObject({ kind: 'set-weight', from: '50 %', to: '20 %' })
  })

  test('raises only as the lock allows, and says why not', async () => {
    gateway.decisions = { '1.1.0': 'continue' }
    await expect(setWeight(gateway.ports, { ...ask, weight: 30 })).rejects.toThrow(
      '1.1.0 is held at 0 %: labels: about 1,900 more',
    )
    gateway.decisions = { '1.1.0': 'promote' }
    await setWeight(gateway.ports, { ...ask, weight: 30 })
    expect(gateway.weights['1.1.0']).toBe(30)
  })

  test('refuses live, 100, negative and NaN', async () => {
    expect(await codeOf(setWeight(gateway.ports, { ...ask, version: '1.0.0', weight: 30 }))).toBe('BAD_REQUEST')
    for (const weight of [100, -1, Number.NaN])
      expect(await codeOf(setWeight(gateway.ports, { ...ask, weight }))).toBe('BAD_REQUEST')
  })
})
