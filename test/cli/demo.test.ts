import { createTwoFilesPatch } from 'diff'
import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { progressOf } from '../../src/cli/demo/climb.ts'
import { answersOf } from '../../src/cli/demo/end.ts'
import { auc, brier, drawer, median, quantile, type Scored, seeded } from '../../src/cli/demo/figures.ts'
import {
  policyRows,
  ROUTE,
  routesText,
  withBetterInShadow,
  withHangingShadow,
  withWorseAtHalf,
} from '../../src/cli/demo/policy.ts'
import { probabilities, readFlights, requestBody } from '../../src/cli/demo/rows.ts'
import { Tell, wrapped } from '../../src/cli/demo/tell.ts'
import { RoutesFile } from '../../src/config/schema.ts'
import type { Verdict } from '../../src/gate/evidence.ts'

const scored = (...pairs: readonly (readonly [p: number, truth: 0 | 1])[]): Scored[] =>
  pairs.map(([p, truth]) => ({ p, truth }))

describe('AUC', () => {
  test('is 1 when every positive stands above every negative, and 0 the other way round', () => {
    expect(auc(scored([0.9, 1], [0.8, 1], [0.2, 0]))).toBe(1)
    expect(auc(scored([0.1, 1], [0.8, 0], [0.2, 0]))).toBe(0)
  })

  test('counts a tie as half', () => {
    expect(auc(scored([0.5, 1], [0.5, 0], [0.5, 0]))).toBe(0.5)
  })

  test('is the share of pairs in the right order, counted one by one', () => {
    const next = seeded(7)
    const rows = Array.from(
      { length: 200 },
      () => ({ p: Math.floor(next() * 20) / 20, truth: next() < 0.3 ? 1 : 0 }) as const,
    )
    const [positives, negatives] = [rows.filter(row => row.truth === 1), rows.filter(row => row.truth === 0)]
    let right = 0
    for (const { p } of positives) for (const { p: q } of negatives) right += p > q ? 1 : p === q ? 0.5 : 0
    expect(auc(rows)).toBeCloseTo(right / (positives.length * negatives.length), 12)
  })

  test('is unknown without both classes', () => {
    expect(auc([])).toBeUndefined()
    expect(auc(scored([0.3, 1]))).toBeUndefined()
  })
})

test('Brier loss is the mean square, and unknown of nothing', () => {
  expect(brier(scored([0.8, 1], [0.4, 0]))).toBeCloseTo((0.04 + 0.16) / 2, 12)
  expect(brier([])).toBeUndefined()
})

test('quantiles are values that were seen', () => {
  expect(quantile([3, 1, 2], 0.99)).toBe(3)
  expect(quantile([3, 1, 2], 0.5)).toBe(2)
  expect(quantile([], 0.5)).toBeUndefined()
  expect(median([4, 1, 3, 2])).toBe(2.5)
  expect(median([])).toBeUndefined()
})

describe('draws', () => {
  test('are the same under one seed and others under another', () => {
    const draw = (seed: number) => Array.from({ length: 50 }, drawer(20_000, seed))
    expect(draw(2013)).toEqual(draw(2013))
    expect(draw(2013)).not.toEqual(draw(2014))
  })

  test('fall on every row alike', () => {
    const counts = new Array<number>(10).fill(0)
    const draw = drawer(10, 0)
    for (let n = 0; n < 100_000; n++) counts[draw()]!++
    for (const count of counts) expect(Math.abs(count - 10_000)).toBeLessThan(5 * Math.sqrt(9_000))
  })
})

describe('routes.yaml of the demo', () => {
  const text = routesText('/models "of" mine')
  const parsed = (yaml: string) => RoutesFile.parse(parse(yaml)).routes[ROUTE]!

  test('is valid through every edit by hand', () => {
    expect(parsed(text).versions['1.1.0']).toMatchObject({ weight: 0, shadow: { percent: 100 } })
    expect(parsed(withWorseAtHalf(text)).versions).toMatchObject({ '1.0.0': { weight: 50 }, '1.1.0': { weight: 50 } })
    const climbing = withBetterInShadow(text)
    expect(parsed(climbing).versions).toMatchObject({
      '1.1.0': { weight: 0, shadow: { percent: 0 } },
      '2.0.0': { weight: 0, shadow: { percent: 100 } },
    })
    const hanging = withHangingShadow(climbing, 'http://127.0.0.1:9')
    expect(parsed(hanging).versions['3.0.0-rc.1']).toMatchObject({ mirrorable: true, shadow: { deadline: 1000 } })
    expect(changed(climbing, hanging)).toHaveLength(1)
  })

  test('prints every setting that differs from the defaults', () => {
    const policy = parsed(text)
    const byDefault = RoutesFile.parse({
      routes: { [ROUTE]: { live: '1.0.0', versions: {}, labels: { loss: 'brier' } } },
    }).routes[ROUTE]!
    const settings = ({ gate, rollout, labels }: typeof policy) => leaves({ gate, rollout, labels })
    const [here, there] = [settings(policy), settings(byDefault)]
    const differing = Object.keys({ ...here, ...there }).filter(name => here[name] !== there[name])
    expect(
      policyRows(policy)
        .map(([name]) => name)
        .sort(),
    ).toEqual(differing.sort())
    for (const [name, own, usual] of policyRows(policy)) expect(own, name).not.toBe(usual)
  })
})

test('a flight becomes a V2 request of one row a tensor, and its answer a probability', async () => {
  const flights = await readFlights(new URL('../../models/flight-delay/traffic.csv', import.meta.url))
  expect(flights).toHaveLength(20_000)
  const { inputs } = JSON.parse(requestBody(flights.slice(0, 2))) as { inputs: { shape: number[]; data: unknown[] }[] }
  expect(inputs).toHaveLength(14)
  for (const { shape, data } of inputs) expect([shape, data.length]).toEqual([[2, 1], 2])
  const answer = { outputs: [{ name: 'probability', data: [0.75, 0.25, 0.5, 0.5] }] }
  expect(probabilities(JSON.stringify(answer))).toEqual([0.25, 0.5])
  expect(() => probabilities('{"outputs":[]}')).toThrow('no probability')
})

test('what is still needed is one figure a metric, the largest of its kind', () => {
  const row = (metric: string, needed: number | null, state = 'open') => ({ metric, needed, state })
  const verdict = (metrics: readonly object[], requests = 0) =>
    ({ decision: 'continue', metrics, exposure: { requests, requestsNeeded: 100 } }) as unknown as Verdict
  expect(
    progressOf(verdict([row('labels', 640), row('errors', 40), row('errors', 120), row('split', null, 'watched')])),
  ).toBe('more needed: labels 640, errors 120, exposure 100')
  expect(progressOf(verdict([row('latency.p50', 10), row('latency.p99', null)], 100))).toBe('more needed: latency –')
  expect(progressOf(verdict([row('labels', 0, 'safe')], 100))).toBe('nothing more needed')
})

test('answers are added up over roles and codes, of one version or of all', () => {
  const line = (version: string, role: string, code: number, count: number) =>
    `understudy_requests_total{route="${ROUTE}",version="${version}",role="${role}",code="${code}"} ${count}`
  const exposition = [
    '# TYPE understudy_requests_total counter',
    line('1.0.0', 'live', 200, 5),
    line('1.1.0', 'canary', 200, 2),
    line('1.1.0', 'canary', 500, 1),
    'understudy_requests_total{route="other",version="1.1.0",role="live",code="200"} 9',
  ].join('\n')
  expect(answersOf(exposition, '1.1.0')).toBe(3)
  expect(answersOf(exposition)).toBe(8)
})

describe('telling', () => {
  const told = (moving: boolean) => {
    let text = ''
    const tell = new Tell({ write: piece => (text += piece), colour: false, moving, columns: 40 })
    return { tell, text: () => text }
  }

  test('prints plain lines without control characters where nothing may move', () => {
    const { tell, text } = told(false)
    tell.title('1')
    tell.progress('request 1')
    tell.progress('request 2')
    tell.diff('--- a\n+++ b\n@@\n-    old\u001b[2J\n+    new\n')
    expect(text()).toBe('\n1\n  request 1\n    -old\\u{1b}[2J\n    +new\n')
  })

  test('rewrites one line on a terminal, never wider than it, and clears it before the next', () => {
    const { tell, text } = told(true)
    tell.progress('x'.repeat(80))
    tell.line('done')
    expect(text()).toBe(`\r  ${'x'.repeat(36)}…\u001b[K\r\u001b[K  done\n`)
  })

  test('wraps at words', () => {
    expect(wrapped('one two three', 7)).toEqual(['one two', 'three'])
  })
})

function changed(before: string, after: string): string[] {
  return createTwoFilesPatch('a', 'b', before, after)
    .split('\n')
    .filter(line => /^[-+](?![-+])/.test(line))
}

/** `{ a: { b: 1 } }` → `{ 'a.b': '1' }`. */
function leaves(value: unknown, name = ''): Record<string, string> {
  if (value === null || typeof value !== 'object' || Array.isArray(value))
    return { [name]: JSON.stringify(value) ?? '' }
  return Object.assign(
    {},
    ...Object.entries(value).map(([key, inner]) => leaves(inner, name === '' ? key : `${name}.${key}`)),
  ) as Record<string, string>
}
