import { describe, expect, test } from 'vitest'
import { parseRoutes } from '../../src/config/load.ts'
import { noticesOfRoute, overrideEnd } from '../../src/config/notices.ts'
import { UnderstudyError } from '../../src/errors.ts'

function problemsOf(text: string): string[] {
  try {
    parseRoutes(text, 'routes.yaml', {})
    return []
  } catch (error) {
    if (!(error instanceof UnderstudyError) || error.code !== 'BAD_CONFIGURATION') throw error
    return error.message.split('\n').map(line => line.replace(/^routes\.yaml:\d+:\d+ /, ''))
  }
}

const EMBEDDED = { '1.0.0': { onnx: 'm', weight: 100 }, '1.1.0': { onnx: 'n' } }
const http = (more: object) => ({ '1.0.0': { url: 'http://a', weight: 100, ...more } })
const file = (keys: object, versions: object = EMBEDDED) =>
  JSON.stringify({ routes: { m: { live: '1.0.0', versions, ...keys } } })
const withKeys = (keys: object, versions?: object) => problemsOf(file(keys, versions))
const noticesFor = (keys: object, versions?: object, now = 0) =>
  noticesOfRoute(parseRoutes(file(keys, versions), 'routes.yaml', {}).routes.m!, now)
const override = (more: object = {}) => ({
  '1.0.0': { onnx: 'm', weight: 100 },
  '1.1.0': { onnx: 'n', override: { metrics: ['disagreement'], reason: 'r', until: '2026-12-01', ...more } },
})

describe('compare.again', () => {
  test('needs every version that may become live to be repeatable: an embedded one is, an HTTP one must say it', () => {
    const again = { compare: { again: 5 } }
    expect(withKeys(again)).toEqual([])
    expect(withKeys(again, http({ repeatable: true }))).toEqual([])
    for (const versions of [
      http({}),
      http({ repeatable: false }),
      { '1.0.0': { onnx: 'm', weight: 100, repeatable: false } },
      { ...EMBEDDED, '2.0.0': { url: 'http://b' } },
    ])
      expect(withKeys(again, versions)).toEqual([
        expect.stringMatching(/^expected `repeatable: true` at .*: live is asked twice/),
      ])
    expect(withKeys({ compare: { again: 0 } }, http({}))).toEqual([])
  })
})

describe('gate.paired', () => {
  const two = { ...http({}), '1.1.0': { url: 'http://b', mirrorable: true } }

  test('by default is off, with a notice, where live behind HTTP may not be sent copies', () => {
    expect(withKeys({}, two)).toEqual([])
    expect(noticesFor({}, two)).toEqual([expect.stringMatching(/^canaries have no paired evidence: live 1\.0\.0/)])
    expect(noticesFor({}, { ...two, ...http({ mirrorable: true }) })).toEqual([])
    expect(noticesFor({}, { ...EMBEDDED, '1.0.0': { onnx: 'm', weight: 100, mirrorable: false } })).toHaveLength(1)
    // Alone there is no canary.
    expect(noticesFor({}, http({}))).toEqual([])
  })

  test('that is asked for is refused there', () => {
    expect(withKeys({ gate: { paired: 20 } }, two)).toEqual([
      expect.stringMatching(/^expected `mirrorable: true` at 1\.0\.0/),
    ])
    expect(withKeys({ gate: { paired: 0 } }, two)).toEqual([])
    expect(withKeys({ gate: { paired: 20 } })).toEqual([])
  })
})

describe('rollout.mode auto', () => {
  test('is refused where what runs is not verified, or where nothing may be written', () => {
    const auto = { rollout: { mode: 'auto' } }
    expect(withKeys(auto)).toEqual([])
    expect(withKeys(auto, http({ identity: { literal: 'x' } }))).toEqual([])
    expect(withKeys(auto, http({}))).toEqual([expect.stringMatching(/^expected `identity` at 1\.0\.0/)])
    expect(withKeys({ rollout: { mode: 'auto', write: 'patch' } })).toEqual([
      'expected `write: file` beside `mode: auto`: a patch waits for a person',
    ])
  })

  test('has a window that can be read', () => {
    expect(withKeys({ rollout: { mode: 'auto', window: 'Mon-Fri 09:00-17:00 Europe/Berlin' } })).toEqual([])
    expect(withKeys({ rollout: { window: 'Mon-Fri 09:00-17:00' } })[0]).toMatch(/^expected a window such as/)
    expect(withKeys({ rollout: { window: 5 } })[0]).toMatch(/^expected a window such as/)
    expect(noticesFor({ rollout: { window: 'daily 00:00-24:00 UTC' } })).toEqual([
      '`rollout.window` does nothing in mode manual: a person raises when they like',
    ])
  })
})

describe('a holdback', () => {
  test('turns the last step into what it leaves, so every other step is below that', () => {
    expect(withKeys({ rollout: { holdback: 2 } })).toEqual([])
    expect(withKeys({ rollout: { holdback: 2, steps: [50, 97.9, 100] } })).toEqual([])
    for (const step of [98, 99])
      expect(withKeys({ rollout: { holdback: 2, steps: [50, step, 100] } })).toEqual([
        `expected a step below 98, since the last step, 100, is 98 with a holdback of 2; got ${step}`,
      ])
    expect(withKeys({ rollout: { holdback: 2, steps: [50, 98] } })).toContain('expected 100 as the last step, got 98')
    expect(withKeys({ rollout: { holdback: 30 } })).toHaveLength(1)
  })
})

describe('a policy that cannot be satisfied', () => {
  test('because its time is over before its least time is refused', () => {
    const exposure = (given: object) => withKeys({ gate: { exposure: given } })
    expect(exposure({ for: '2h', atMost: '1h' })).toHaveLength(1)
    expect(exposure({ atMost: '10m' })).toHaveLength(1)
    expect(exposure({ for: '15d' })).toHaveLength(1)
    expect(exposure({ for: '1h', atMost: '1h' })).toEqual([])
    // One wrong duration is one problem.
    expect(exposure({ for: 'long', atMost: '1h' })).toHaveLength(1)
  })

  test('because its blocks are never complete, or its difference is one of labels, is refused', () => {
    expect(withKeys({ gate: { blocks: '1m' } })).toEqual([])
    expect(withKeys({ gate: { blocks: '10ms' } })).toHaveLength(1)
    expect(withKeys({ gate: { blocks: '15d' } })).toHaveLength(1)
    expect(withKeys({ gate: { difference: 0.1 }, compare: { kind: 'label' } })).toHaveLength(1)
    expect(withKeys({ gate: { difference: 0.1 }, compare: { kind: 'number' } })).toEqual([])
  })

  test('or hardly is told', () => {
    expect(noticesFor({ expect: 'change' })).toEqual([expect.stringMatching(/no verdict passes hold/)])
    expect(noticesFor({ expect: 'change', labels: { loss: 'brier', margin: 0 } })).toEqual([
      expect.stringMatching(/one that is as good is never promoted/),
    ])
    expect(noticesFor({ expect: 'change', labels: { loss: 'brier' } })).toEqual([])
  })
})

describe('an override', () => {
  test('names metrics that exist, or is told which was meant', () => {
    expect(withKeys({}, override())).toEqual([])
    expect(withKeys({}, override({ metrics: ['disagrement'] }))).toEqual([
      'got "disagrement", did you mean disagreement?',
    ])
    expect(withKeys({}, override({ metrics: ['p99'] }))[0]).toMatch(/^expected disagreement, .*, got "p99"$/)
    expect(withKeys({}, override({ metrics: [] }))).toEqual(['expected at least 1 entry'])
    expect(withKeys({ notify: [{ url: 'http://a', on: ['aborted'] }] })).toEqual(['got "aborted", did you mean abort?'])
  })

  test('never waives what shows that the evidence is broken', () => {
    for (const metric of ['split', 'arrival'])
      expect(withKeys({}, override({ metrics: [metric] }))).toEqual([
        `${metric} cannot be waived: it shows that the evidence itself is broken`,
      ])
  })

  test('has a reason and an end that can be read', () => {
    expect(withKeys({}, override({ reason: '' }))).toHaveLength(1)
    for (const until of ['tomorrow', '2026-13-01', '2026-12-01T10:00:00', 5])
      expect(withKeys({}, override({ until }))).toEqual([expect.stringMatching(/^expected a date such as/)])
    expect(withKeys({}, override({ until: '2026-12-01T10:00:00+01:00' }))).toEqual([])
  })

  test('ends with its day in UTC, which is told and is no error', () => {
    expect(overrideEnd({ until: '2026-12-01' })).toBe(Date.parse('2026-12-02T00:00:00Z'))
    expect(overrideEnd({ until: '2026-12-01T10:00:00+01:00' })).toBe(Date.parse('2026-12-01T09:00:00Z'))
    const end = Date.parse('2026-12-02T00:00:00Z')
    expect(noticesFor({}, override(), end - 1)).toEqual([])
    expect(noticesFor({}, override(), end)).toEqual([
      'the override of 1.1.0 ended (until 2026-12-01): renew it or take it out',
    ])
  })
})
