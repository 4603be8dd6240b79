import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type LockVerdict, resolve, sameState, versionsToLoad } from '../../src/rollout/lock.ts'
import { grantedWeights, RouteState } from '../../src/rollout/state.ts'
import { adopted, continueAt, digestsOf, promoteAt, routeOf, save } from './route.ts'

describe('at the first start', () => {
  test('believes live when it is alone', () => {
    const { live, weights, held, state } = save(routeOf('1.0.0', { '1.0.0': 100 }), null)
    expect({ live, weights, held }).toEqual({ live: '1.0.0', weights: { '1.0.0': 100 }, held: [] })
    expect(RouteState.parse(state)).toEqual(state)
  })

  test('holds every other version to unproven, which bounds their sum', () => {
    const { weights, held } = save(routeOf('1.0.0', { '1.0.0': 60, '1.1.0': 0.6, '1.2.0': 39.4 }), null)
    expect(weights).toEqual({ '1.0.0': 99, '1.1.0': 0.6, '1.2.0': 0.4 })
    expect(held).toMatchObject([
      { version: '1.2.0', wanted: 39.4, allowed: 0.4, reason: 'versions without evidence may take 1 % together' },
    ])
  })

  test('gives nobody anything when unproven is 0', () => {
    const route = routeOf('1.0.0', { '1.0.0': 95, '1.1.0': 5 }, { gate: { unproven: 0 } })
    expect(save(route, null).weights).toEqual({ '1.0.0': 100, '1.1.0': 0 })
  })

  test('takes no verdict for a licence: its shares were never on record', () => {
    const route = routeOf('1.0.0', { '1.0.0': 95, '1.1.0': 5 })
    expect(save(route, null, { verdicts: { '1.1.0': promoteAt(0) } }).weights['1.1.0']).toBe(1)
  })

  test('accepts the weights of the file with adopt', () => {
    const { weights, held, state } = save(routeOf('1.0.0', { '1.0.0': 60, '1.1.0': 40 }), null, { adopt: true })
    expect(weights).toEqual({ '1.0.0': 60, '1.1.0': 40 })
    expect(held).toEqual([])
    expect(state.granted['1.1.0']?.proven).toBe(true)
  })

  test('keeps the share of a live that does not load, and raises nobody', () => {
    const route = routeOf('1.0.0', { '1.0.0': 95, '1.1.0': 5 })
    const { weights, held, notices } = save(route, null, { digests: digestsOf('1.1.0') })
    expect(weights).toEqual({ '1.0.0': 100, '1.1.0': 0 })
    expect(held[0]?.reason).toBe('live 1.0.0 does not load, so nobody is raised')
    expect(notices).toEqual(['live 1.0.0 does not load; no other version takes its traffic'])
  })
})

describe('a raise', () => {
  const at5 = adopted('1.0.0', { '1.0.0': 95, '1.1.0': 5 })

  test('is held without evidence, and says what is missing', () => {
    const { weights, held } = save(routeOf('1.0.0', { '1.0.0': 75, '1.1.0': 25 }), at5, {
      verdicts: { '1.1.0': continueAt(5) },
    })
    expect(weights).toEqual({ '1.0.0': 95, '1.1.0': 5 })
    expect(held).toEqual([
      {
        version: '1.1.0',
        key: 'weight',
        wanted: 25,
        allowed: 5,
        reason: 'Brier loss needs about 1,900 more labels',
        missing: ['labels: about 1,900 more'],
      },
    ])
  })

  test('goes to the next step on a verdict promote at the present stage and step', () => {
    const { weights, held } = save(routeOf('1.0.0', { '1.0.0': 75, '1.1.0': 25 }), at5, {
      verdicts: { '1.1.0': promoteAt(5) },
    })
    expect(weights).toEqual({ '1.0.0': 75, '1.1.0': 25 })
    expect(held).toEqual([])
  })

  test('past the next step is held at the next step', () => {
    const { weights, held } = save(routeOf('1.0.0', { '1.0.0': 50, '1.1.0': 50 }), at5, {
      verdicts: { '1.1.0': promoteAt(5) },
    })
    expect(weights['1.1.0']).toBe(25)
    expect(held).toMatchObject([{ allowed: 25, reason: 'the next step is 25' }])
  })

  test('is held when the evidence is from another step or stage', () => {
    const route = routeOf('1.0.0', { '1.0.0': 75, '1.1.0': 25 })
    for (const verdict of [promoteAt(0), promoteAt(25), { ...promoteAt(5), stage: 'shadow' as const }]) {
      const { weights, held } = save(route, at5, { verdicts: { '1.1.0': verdict } })
      expect(weights['1.1.0']).toBe(5)
      expect(held).toHaveLength(1)
    }
  })

  test('is not repeated by a second save on the same verdict', () => {
    const route = routeOf('1.0.0', { '1.0.0': 50, '1.1.0': 50 })
    const once = save(route, at5, { verdicts: { '1.1.0': promoteAt(5) } })
    expect(save(route, once.state, { verdicts: { '1.1.0': promoteAt(5) } }).weights['1.1.0']).toBe(25)
  })

  test('waits for a save: a restart or a re-read of the same file raises nothing', () => {
    const route = routeOf('1.0.0', { '1.0.0': 75, '1.1.0': 25 })
    const held = save(route, at5, { verdicts: { '1.1.0': continueAt(5) } })
    const again = { fileHash: held.state.fileHash, verdicts: { '1.1.0': promoteAt(5) } }
    expect(save(route, held.state, again).weights['1.1.0']).toBe(5)
    expect(save(route, held.state, again).held[0]?.reason).toBe('it is ready and waits for promote or the next save')
    expect(save(route, held.state, { ...again, promoting: '1.1.0' }).weights['1.1.0']).toBe(25)
    expect(save(route, held.state, { ...again, promoting: '1.0.0' }).weights['1.1.0']).toBe(5)
  })

  test('of a shadow goes to the first step', () => {
    const shadow = adopted('1.0.0', { '1.0.0': 100, '1.1.0': 0 })
    const route = routeOf('1.0.0', { '1.0.0': 50, '1.1.0': 50 })
    expect(save(route, shadow, { verdicts: { '1.1.0': promoteAt(0) } }).weights['1.1.0']).toBe(5)
    expect(save(route, shadow, { verdicts: { '1.1.0': continueAt(0) } }).weights['1.1.0']).toBe(0)
  })

  test('of a new version gets what unproven has left', () => {
    const route = routeOf('1.0.0', { '1.0.0': 80, '1.1.0': 5, '1.2.0': 15 })
    expect(save(route, at5).weights).toEqual({ '1.0.0': 94, '1.1.0': 5, '1.2.0': 1 })
  })

  test('of an unproven version that was judged abort or invalid is not let in by unproven', () => {
    const shadow = adopted('1.0.0', { '1.0.0': 100, '1.1.0': 0 })
    const route = routeOf('1.0.0', { '1.0.0': 99.5, '1.1.0': 0.5 })
    expect(save(route, shadow, { verdicts: { '1.1.0': continueAt(0) } }).weights['1.1.0']).toBe(0.5)
    for (const decision of ['abort', 'invalid'] as const)
      expect(save(route, shadow, { verdicts: { '1.1.0': { ...continueAt(0), decision } } }).weights['1.1.0']).toBe(0)
  })

  test('to 100 without being named live is held', () => {
    const at50 = adopted('1.0.0', { '1.0.0': 50, '1.1.0': 50 })
    const { weights, held } = save(routeOf('1.0.0', { '1.0.0': 0, '1.1.0': 100 }), at50, {
      verdicts: { '1.1.0': promoteAt(50) },
    })
    expect(weights).toEqual({ '1.0.0': 50, '1.1.0': 50 })
    expect(held[0]?.reason).toBe('name it live to give it 100')
  })

  test('is held while live does not load, whatever the verdict', () => {
    const route = routeOf('1.0.0', { '1.0.0': 75, '1.1.0': 25 })
    const { weights } = save(route, at5, { verdicts: { '1.1.0': promoteAt(5) }, digests: digestsOf('1.1.0') })
    expect(weights).toEqual({ '1.0.0': 95, '1.1.0': 5 })
  })
})

describe('what makes things safer applies at once', () => {
  test('lowering a share frees it for live', () => {
    const at25 = adopted('1.0.0', { '1.0.0': 75, '1.1.0': 25 })
    expect(save(routeOf('1.0.0', { '1.0.0': 97, '1.1.0': 3 }), at25).weights).toEqual({ '1.0.0': 97, '1.1.0': 3 })
  })

  test('a lowered share must be earned again', () => {
    const lowered = save(routeOf('1.0.0', { '1.0.0': 97, '1.1.0': 3 }), adopted('1.0.0', { '1.0.0': 75, '1.1.0': 25 }))
    expect(save(routeOf('1.0.0', { '1.0.0': 75, '1.1.0': 25 }), lowered.state).weights['1.1.0']).toBe(3)
  })

  test('in a mixed edit the reduction applies and only the raise is held', () => {
    const state = adopted('1.0.0', { '1.0.0': 70, '1.1.0': 5, '1.2.0': 25 })
    const { weights, held } = save(routeOf('1.0.0', { '1.0.0': 40, '1.1.0': 50, '1.2.0': 10 }), state, {
      verdicts: { '1.1.0': continueAt(5), '1.2.0': continueAt(25) },
    })
    expect(weights).toEqual({ '1.0.0': 85, '1.1.0': 5, '1.2.0': 10 })
    expect(held.map(({ version }) => version)).toEqual(['1.1.0'])
  })

  test('a version dropped from the file gives its share to live, and its licence up', () => {
    const state = adopted('1.0.0', { '1.0.0': 75, '1.1.0': 25 })
    const dropped = save(routeOf('1.0.0', { '1.0.0': 100 }), state)
    expect(dropped.weights).toEqual({ '1.0.0': 100 })
    expect(save(routeOf('1.0.0', { '1.0.0': 75, '1.1.0': 25 }), dropped.state).weights['1.1.0']).toBe(1)
  })

  test('a smaller unproven cuts the versions that stand on it, and none that is proven', () => {
    const wide = save(routeOf('1.0.0', { '1.0.0': 90, '1.1.0': 10 }, { gate: { unproven: 10 } }), null)
    expect(wide.weights['1.1.0']).toBe(10)
    expect(
      save(routeOf('1.0.0', { '1.0.0': 90, '1.1.0': 10 }, { gate: { unproven: 2 } }), wide.state).weights['1.1.0'],
    ).toBe(2)
    expect(
      save(routeOf('1.0.0', { '1.0.0': 90, '1.1.0': 10 }), adopted('1.0.0', { '1.0.0': 90, '1.1.0': 10 })).weights[
        '1.1.0'
      ],
    ).toBe(10)
  })
})

describe('changing live', () => {
  const at50 = adopted('1.0.0', { '1.0.0': 50, '1.1.0': 50 })
  const swapped = routeOf('1.1.0', { '1.0.0': 0, '1.1.0': 100 })

  test('needs promote at the last step below 100', () => {
    const { live, weights, held, liveChange, state } = save(swapped, at50, { verdicts: { '1.1.0': promoteAt(50) } })
    expect({ live, weights, held }).toEqual({ live: '1.1.0', weights: { '1.0.0': 0, '1.1.0': 100 }, held: [] })
    expect(liveChange).toEqual({ from: '1.0.0', to: '1.1.0', how: 'promoted' })
    expect(state.previous.map(({ version }) => version)).toEqual(['1.0.0'])
  })

  test('is held without a verdict, and the candidate keeps its share', () => {
    const { live, weights, held } = save(swapped, at50, { verdicts: { '1.1.0': continueAt(50) } })
    expect({ live, weights }).toEqual({ live: '1.0.0', weights: { '1.0.0': 50, '1.1.0': 50 } })
    expect(held).toMatchObject([
      {
        version: '1.1.0',
        key: 'live',
        wanted: 100,
        allowed: 50,
        reason: 'live stays 1.0.0: Brier loss needs about 1,900 more labels',
      },
      { version: '1.1.0', key: 'weight' },
    ])
  })

  test('is held at an earlier step, which rises only to the next', () => {
    const at5 = adopted('1.0.0', { '1.0.0': 95, '1.1.0': 5 })
    const { live, weights, held } = save(swapped, at5, { verdicts: { '1.1.0': promoteAt(5) } })
    expect({ live, weights }).toEqual({ live: '1.0.0', weights: { '1.0.0': 75, '1.1.0': 25 } })
    expect(held[0]?.reason).toBe('live stays 1.0.0: 1.1.0 has 5 % and must be proven at 50 % first')
  })

  test('happens from the shadow stage where 100 is the only step', () => {
    const more = { rollout: { steps: [100] } }
    const shadow = adopted('1.0.0', { '1.0.0': 100, '1.1.0': 0 }, more)
    const route = routeOf('1.1.0', { '1.0.0': 0, '1.1.0': 100 }, more)
    expect(save(route, shadow, { verdicts: { '1.1.0': promoteAt(0) } }).live).toBe('1.1.0')
    expect(save(route, shadow, { verdicts: { '1.1.0': continueAt(0) } }).live).toBe('1.0.0')
  })

  test('to a version that was never seen is held', () => {
    const { live, weights } = save(routeOf('2.0.0', { '2.0.0': 100 }), at50)
    expect(live).toBe('1.0.0')
    expect(weights).toEqual({ '1.0.0': 99, '2.0.0': 1 })
  })

  test('is held when the file has dropped the old live, which goes on from its recorded entry', () => {
    const state = save(routeOf('1.0.0', { '1.0.0': 100 }), null, {
      entries: { '1.0.0': '{ onnx: m/1.0.0, weight: 100 }' },
    }).state
    const route = routeOf('2.0.0', { '2.0.0': 100 })
    expect(versionsToLoad(route, state)).toEqual(['2.0.0', '1.0.0'])
    const { weights, state: next } = save(route, state, { verdicts: { '2.0.0': continueAt(0) } })
    expect(weights).toEqual({ '1.0.0': 100, '2.0.0': 0 })
    expect(next.live.entry).toBe('{ onnx: m/1.0.0, weight: 100 }')
  })

  test('back to the recorded previous live with the same digest applies at once, once', () => {
    const promoted = save(swapped, at50, { verdicts: { '1.1.0': promoteAt(50) } }).state
    const back = save(routeOf('1.0.0', { '1.0.0': 100, '1.1.0': 0 }), promoted)
    expect(back.liveChange).toEqual({ from: '1.1.0', to: '1.0.0', how: 'back' })
    expect(save(swapped, back.state).live).toBe('1.0.0')
  })

  test('back to the previous name with other bytes is held', () => {
    const promoted = save(swapped, at50, { verdicts: { '1.1.0': promoteAt(50) } }).state
    const digests = { ...digestsOf('1.1.0'), '1.0.0': 'other bytes' }
    expect(save(routeOf('1.0.0', { '1.0.0': 100, '1.1.0': 0 }), promoted, { digests }).live).toBe('1.1.0')
  })

  test('voids the licences that the others had against the old live', () => {
    const state = adopted('1.0.0', { '1.0.0': 25, '1.1.0': 50, '1.2.0': 25 })
    const route = routeOf('1.1.0', { '1.0.0': 10, '1.1.0': 65, '1.2.0': 25 })
    const { weights } = save(route, state, { verdicts: { '1.1.0': promoteAt(50), '1.2.0': promoteAt(25) } })
    expect(weights).toEqual({ '1.0.0': 10, '1.1.0': 89, '1.2.0': 1 })
  })
})

describe('bytes', () => {
  const at25 = adopted('1.0.0', { '1.0.0': 75, '1.1.0': 25 })
  const route = routeOf('1.0.0', { '1.0.0': 75, '1.1.0': 25 })

  test('changed under an old name are a new, unproven version', () => {
    const digests = { ...digestsOf('1.0.0'), '1.1.0': 'other bytes' }
    expect(save(route, at25, { digests }).weights).toEqual({ '1.0.0': 99, '1.1.0': 1 })
    expect(save(route, at25, { digests, fileHash: at25.fileHash }).weights['1.1.0']).toBe(1)
  })

  test('that do not load have no traffic, and their share again when the same ones load', () => {
    const broken = save(route, at25, { digests: digestsOf('1.0.0'), fileHash: at25.fileHash })
    expect(broken.weights).toEqual({ '1.0.0': 100, '1.1.0': 0 })
    expect(broken.held[0]?.reason).toBe('it does not load; its share goes to live')
    expect(save(route, broken.state, { fileHash: at25.fileHash }).weights['1.1.0']).toBe(25)
    const digests = { ...digestsOf('1.0.0'), '1.1.0': 'other bytes' }
    expect(save(route, broken.state, { fileHash: at25.fileHash, digests }).weights['1.1.0']).toBe(1)
  })

  test('changed under live keep its traffic, are noticed until adopted, and cannot be mistaken for the old ones', () => {
    const digests = { ...digestsOf('1.1.0'), '1.0.0': 'other bytes' }
    const changed = save(route, at25, { digests })
    expect(changed.weights).toEqual({ '1.0.0': 75, '1.1.0': 25 })
    expect(changed.notices).toHaveLength(2)
    expect(save(route, changed.state, { digests }).notices).toHaveLength(1)
    expect(save(route, changed.state, { digests, adopt: true }).notices).toEqual([])
  })
})

describe('a latch', () => {
  const latched = {
    ...adopted('1.0.0', { '1.0.0': 95, '1.1.0': 5 }),
    latches: { 'digest of 1.1.0': { version: '1.1.0', kind: 'abort' as const, reason: 'Brier loss', at: 0 } },
  }
  const route = routeOf('1.0.0', { '1.0.0': 50, '1.1.0': 50 }, { gate: { unproven: 100, disagreement: 0.9 } })

  test('is weight 0 whatever file, policy, verdict or adopt say', () => {
    for (const more of [
      {},
      { verdicts: { '1.1.0': promoteAt(5) } },
      { verdicts: { '1.1.0': promoteAt(0) } },
      { adopt: true },
    ]) {
      const { weights, held } = save(route, latched, more)
      expect(weights).toEqual({ '1.0.0': 100, '1.1.0': 0 })
      expect(held[0]?.reason).toBe('1.1.0 was aborted (Brier loss); clear it first')
    }
  })

  test('refuses the version as live', () => {
    const { live } = save(routeOf('1.1.0', { '1.0.0': 0, '1.1.0': 100 }), latched, { adopt: true })
    expect(live).toBe('1.0.0')
  })

  test('follows the bytes to another name', () => {
    const renamed = routeOf('1.0.0', { '1.0.0': 50, '1.1.1': 50 }, { gate: { unproven: 100 } })
    const digests = { ...digestsOf('1.0.0'), '1.1.1': 'digest of 1.1.0' }
    expect(save(renamed, latched, { digests }).weights['1.1.1']).toBe(0)
  })

  test('leaves the shadow of the version as it is', () => {
    expect(Object.keys(save(route, latched).weights)).toContain('1.1.0')
  })

  test('once cleared lets the version start again from nothing', () => {
    const held = save(route, latched)
    const cleared = { ...held.state, latches: {} }
    expect(save(route, cleared, { fileHash: held.state.fileHash }).weights['1.1.0']).toBe(0)
    const strict = routeOf('1.0.0', { '1.0.0': 50, '1.1.0': 50 })
    expect(save(strict, cleared).weights['1.1.0']).toBe(1)
  })
})

// Anything a person, a build and a gate can do to one route of four versions, one after another.
const VERSIONS = ['1.0.0', '1.1.0', '1.2.0', '2.0.0']
const share = fc.integer({ min: 0, max: 1000 })
const verdict: fc.Arbitrary<LockVerdict | undefined> = fc.option(
  fc.record({
    decision: fc.constantFrom('abort', 'continue', 'hold', 'promote', 'invalid'),
    stage: fc.constantFrom('shadow', 'canary'),
    step: fc.constantFrom(0, 1, 5, 25, 50),
  }),
  { nil: undefined },
)
const event = fc.record({
  live: fc.constantFrom(...VERSIONS),
  raw: fc.tuple(share, share, share, share).filter(raw => raw.some(part => part > 0)),
  present: fc.subarray(VERSIONS, { minLength: 1 }),
  digests: fc.tuple(...VERSIONS.map(() => fc.constantFrom<(string | undefined)[]>('a', 'b', undefined))),
  verdicts: fc.tuple(verdict, verdict, verdict, verdict),
  latch: fc.option(fc.constantFrom(...VERSIONS), { freq: 10 }),
  unproven: fc.constantFrom(0, 0.5, 1, 10),
  saved: fc.boolean(),
  promoting: fc.option(fc.constantFrom(...VERSIONS), { nil: undefined, freq: 5 }),
})

function play(
  events: readonly (typeof event extends fc.Arbitrary<infer T> ? T : never)[],
  check: (step: Step) => void,
): void {
  let state: RouteState | null = null
  events.forEach((one, index) => {
    const present = VERSIONS.filter(version => one.present.includes(version))
    const total = present.reduce((sum, version) => sum + one.raw[VERSIONS.indexOf(version)]!, 0)
    const wanted = Object.fromEntries(
      present.map(version => [
        version,
        total === 0 ? 100 / present.length : (one.raw[VERSIONS.indexOf(version)]! * 100) / total,
      ]),
    )
    const live = present.includes(one.live) ? one.live : present[0]!
    const digests = Object.fromEntries(
      VERSIONS.map((version, at) => [version, one.digests[at] && `${version}${one.digests[at]}`]),
    )
    const verdicts = Object.fromEntries(VERSIONS.map((version, at) => [version, one.verdicts[at]]))
    if (state !== null && one.latch !== null && one.latch !== state.live.version && digests[one.latch] !== undefined)
      state = {
        ...state,
        latches: { ...state.latches, [digests[one.latch]!]: { version: one.latch, kind: 'abort', reason: 'x', at: 0 } },
      }
    const input = {
      route: routeOf(live, wanted, { gate: { unproven: one.unproven } }),
      state,
      fileHash: one.saved || state === null ? `save ${index}` : state.fileHash,
      digests,
      verdicts,
      ...(one.promoting === undefined ? {} : { promoting: one.promoting }),
    }
    const output = resolve(input)
    check({ before: state, input, output, unproven: one.unproven, wanted })
    state = output.state
  })
}
interface Step {
  before: RouteState | null
  input: Parameters<typeof resolve>[0]
  output: ReturnType<typeof resolve>
  unproven: number
  wanted: Record<string, number>
}
const histories = fc.array(event, { minLength: 1, maxLength: 12 })
const holds = (check: (step: Step) => void) =>
  fc.assert(
    fc.property(histories, events => play(events, check)),
    { numRuns: 400 },
  )

describe('over any history', () => {
  test('weights are at least 0 and sum to 100', () => {
    holds(({ output }) => {
      const weights = Object.values(output.weights)
      expect(weights.every(weight => weight >= 0)).toBe(true)
      expect(weights.reduce((sum, weight) => sum + weight, 0)).toBeCloseTo(100, 4)
      expect(RouteState.safeParse(output.state).success).toBe(true)
    })
  })

  test('no version rises above what it had and unproven without a verdict promote', () => {
    holds(({ before, input, output, unproven }) => {
      for (const [version, weight] of Object.entries(output.weights)) {
        if (version === output.live || input.verdicts[version]?.decision === 'promote') continue
        const last = before === null ? 0 : (grantedWeights(before)[version] ?? 0)
        expect(weight).toBeLessThanOrEqual(Math.max(last, unproven) + 1e-6)
      }
    })
  })

  test('live never changes without a verdict promote, except back', () => {
    holds(({ before, input, output }) => {
      if (before === null || output.live === before.live.version || output.liveChange?.how === 'back') return
      expect(input.verdicts[output.live]?.decision).toBe('promote')
    })
  })

  test('versions without a licence never have more than unproven together', () => {
    holds(({ output, unproven }) => {
      const sum = Object.entries(output.state.granted)
        .filter(([version, grant]) => !grant.proven && (output.weights[version] ?? 0) > 0)
        .reduce((total, [, grant]) => total + grant.weight, 0)
      expect(sum).toBeLessThanOrEqual(unproven + 1e-6)
    })
  })

  test('nobody but live ever has more than the file gives, so lowering always applies', () => {
    holds(({ output, wanted }) => {
      for (const [version, weight] of Object.entries(output.weights))
        if (version !== output.live) expect(weight).toBeLessThanOrEqual((wanted[version] ?? 0) + 1e-9)
    })
  })

  test('a latched digest has nothing unless it is live', () => {
    holds(({ input, output, before }) => {
      for (const [version, weight] of Object.entries(output.weights)) {
        const digest = input.digests[version]
        if (version !== output.live && digest !== undefined && before?.latches[digest] !== undefined)
          expect(weight).toBe(0)
      }
    })
  })

  test('resolving what was resolved changes nothing', () => {
    holds(({ input, output }) => {
      const again = resolve({ ...input, state: output.state, fileHash: output.state.fileHash })
      if (input.promoting !== undefined) return
      expect(again.weights).toEqual(output.weights)
      expect(again.live).toBe(output.live)
      const third = resolve({ ...input, state: again.state })
      expect(sameState(again.state, third.state)).toBe(true)
    })
  })

  test('a re-read of the same file raises nobody whose bytes are the same', () => {
    holds(({ before, input, output, wanted }) => {
      if (before === null || input.fileHash !== before.fileHash || input.promoting !== undefined || output.liveChange)
        return
      for (const [version, weight] of Object.entries(output.weights)) {
        if (version === output.live || input.digests[version] !== before.granted[version]?.digest) continue
        expect(weight).toBeLessThanOrEqual((before.granted[version]?.weight ?? 0) + 1e-9)
        expect(weight).toBeLessThanOrEqual(wanted[version]!)
      }
    })
  })
})
