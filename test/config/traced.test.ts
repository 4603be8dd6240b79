import { describe, expect, it } from 'vitest'
import { parseRoutes } from '../../src/config/load.ts'
import { noticesOfRoute } from '../../src/config/notices.ts'
import { compareDigest } from '../../src/rollout/periods.ts'

const VERSIONS = { '1.0.0': { traced: true, weight: 100 }, '1.1.0': { traced: true, shadow: 100 } }

function parsed(route: object) {
  const file = { routes: { churn: { live: '1.0.0', versions: VERSIONS, ...route } } }
  return parseRoutes(JSON.stringify(file), 'routes.yaml', {}).routes.churn!
}

/** The problems of a route, without their places. */
function problemsOf(route: object): string[] {
  try {
    parsed(route)
    return []
  } catch (error) {
    return (error as Error).message.split('\n').map(line => line.replace(/^routes\.yaml:\d+:\d+ /, ''))
  }
}
const withCandidate = (entry: object) => problemsOf({ versions: { ...VERSIONS, '1.1.0': { traced: true, ...entry } } })

describe('a route that is served elsewhere', () => {
  it('needs nothing but versions that say so, and knows one step', () => {
    const route = parsed({})
    expect(route.spans).toEqual({
      version: 'understudy.model.version',
      output: 'understudy.prediction',
      error: 'error.type',
      request: 'understudy.request.id',
      within: 60_000,
    })
    expect(route.rollout.steps).toEqual([100])
    expect([route.gate.unproven, route.gate.paired]).toEqual([0, 0])
    expect(noticesOfRoute(route, 0)).toEqual([expect.stringMatching(/^its traffic is served elsewhere/)])
    const served = parsed({ versions: { '1.0.0': { onnx: 'm', weight: 100 } } })
    expect([served.spans, served.gate.unproven, served.rollout.steps.length]).toEqual([undefined, 1, 4])
  })

  it('may say where things stand, and by which names versions go', () => {
    expect(
      problemsOf({
        versions: {
          '1.0.0': { traced: '3', weight: 100, identity: { literal: 'a' } },
          '1.1.0': { traced: '4', shadow: 50, identity: { literal: 'b' } },
        },
        spans: {
          name: 'predict',
          model: 'model.name',
          version: 'model.version',
          output: ['label', 'scores'],
          error: 'exception.type',
          request: 'request.id',
          digest: 'model.digest',
          within: '5m',
        },
        compare: {
          output: [{ output: 'label' }, { output: '/scores/0', tolerance: { absolute: 0.1 } }],
          segments: ['region'],
        },
        rollout: { steps: [100], mode: 'auto' },
        gate: { paired: 0, unproven: 0 },
      }),
    ).toEqual([])
  })

  it.each([
    ['a number as its name', { traced: 3 }, 'expected true, or the name that spans give this version, got 3'],
    ['false', { traced: false }, 'expected true, or the name that spans give this version, got false'],
    ['a name that is taken', { traced: '1.0.0' }, 'expected a name of its own, got 1.0.0 a second time'],
    ['an address too', { url: 'http://a' }, 'expected either `traced` or `url`, got both'],
    ['a model too', { onnx: 'm' }, 'expected either `traced` or `onnx`, got both'],
    ['a deadline', { deadline: '1s' }, '`deadline` is for versions that the gateway asks, not for traced ones'],
    ['an identity to ask for', { identity: { path: '/x' } }, /^expected `{ literal }`/],
    ['how to send to it', { shadow: { percent: 5 } }, /^expected a percentage: nothing is sent/],
  ])('has no version with %s', (_, entry, problem) => {
    const problems = withCandidate(entry)
    expect(problems.length).toBe(1)
    expect(problems[0]).toEqual(typeof problem === 'string' ? problem : expect.stringMatching(problem))
  })

  it.each([
    [
      'a share for a candidate',
      { versions: { '1.0.0': { traced: true, weight: 95 }, '1.1.0': { traced: true, weight: 5 } } },
      /^expected `shadow` instead/,
    ],
    [
      'a version that is served here',
      { versions: { ...VERSIONS, '2.0.0': { onnx: 'm', shadow: 5 } } },
      /^expected `traced` as at the other versions/,
    ],
    ['a sticky key', { sticky: { header: 'x' } }, /^`sticky` is for routes that the gateway serves/],
    ['a header to pick by', { force: 'x' }, /^`force` is for routes that the gateway serves/],
    ['second runs', { compare: { again: 5 } }, /^expected no `again`/],
    ['paired canaries', { gate: { paired: 5 } }, /^expected no `paired`/],
    ['unproven shares', { gate: { unproven: 5 } }, /^expected no `unproven`/],
    ['blocks', { gate: { blocks: '1m' } }, /^expected no `blocks`/],
    [
      'answers that change the outcome',
      { labels: { loss: 'brier', affectedByAnswer: true } },
      /^expected no `affectedByAnswer`/,
    ],
    ['a holdback', { rollout: { holdback: 5 } }, /^expected no `holdback`/],
    ['steps', { rollout: { steps: [50, 100] } }, /^expected steps \[100\]/],
    ['raises by itself without identities', { rollout: { mode: 'auto' } }, /^expected `identity` at 1\.0\.0/],
    [
      'an output that is not read',
      { compare: { output: 'score' } },
      /^expected an attribute of `spans.output` \(understudy\.prediction\)/,
    ],
    ['an unknown key', { spans: { versions: 'x' } }, 'unknown key `versions`, did you mean `version`?'],
    [
      'a digest without identities',
      { spans: { digest: 'x' } },
      /^expected `identity: { literal }` beside `spans.digest`/,
    ],
  ])('has not %s', (_, route, problem) => {
    const [first] = problemsOf(route)
    expect(first).toEqual(typeof problem === 'string' ? problem : expect.stringMatching(problem))
  })

  it('is the only one that has spans', () => {
    expect(problemsOf({ versions: { '1.0.0': { onnx: 'm', weight: 100 } }, spans: {} })).toEqual([
      '`spans` is for routes whose versions are `traced`',
    ])
  })

  it('starts new evidence when something else is read from its spans', () => {
    const digest = (spans: object) => compareDigest(parsed({ spans }))
    expect(digest({ within: '5m', request: 'x' })).toBe(digest({}))
    expect(digest({ output: 'score' })).not.toBe(digest({}))
    expect(digest({ error: 'exception.type' })).not.toBe(digest({}))
  })
})
