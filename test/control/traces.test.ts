import { describe, expect, it } from 'vitest'
import { Traces } from '../../src/control/traces.ts'
import { UnderstudyError } from '../../src/errors.ts'
import { addAll, type Counters } from '../../src/evidence/counters.ts'
import { monotonicMs } from '../../src/record/clock.ts'
import type { Snapshot } from '../../src/rollout/snapshot.ts'
import type { ReadSpan } from '../../src/telemetry/readSpans.ts'
import { predicted, SPANS, tracedSnapshot } from '../traced/route.ts'

function tracesOf(snapshot: Snapshot | undefined) {
  const counted: Record<string, number> = {}
  const traces = new Traces({
    snapshot: () => snapshot,
    metrics: {
      receivedSpans: (route, outcome, count) => {
        counted[`${route}/${outcome}`] = (counted[`${route}/${outcome}`] ?? 0) + count
      },
      comparisonDelta: (route, candidate, result, count) => {
        counted[`${route} ${candidate} ${result}`] = (counted[`${route} ${candidate} ${result}`] ?? 0) + count
      },
    },
    originMs: monotonicMs(),
    now: () => 0,
  })
  return { traces, counted }
}

describe('spans of traffic that is served elsewhere', () => {
  it('are of no use to a gateway that serves all its routes, and it says so', async () => {
    const served = await tracedSnapshot()
    const { traces, counted } = tracesOf({ ...served, routes: [{ ...served.routes[0]!, spans: undefined }] })
    expect(await traces.take([predicted(0, '1.0.0', 1)])).toEqual({
      rejectedSpans: 0,
      errorMessage: 'no route of this gateway is served elsewhere and known by its spans',
    })
    expect(counted).toEqual({ '/other': 1 })
    expect((await tracesOf(undefined).traces.take([])).rejectedSpans).toBe(0)
  })

  it('are taken, passed over or refused, with the reasons told and counted', async () => {
    const { traces, counted } = tracesOf(await tracedSnapshot())
    traces.release()
    expect(traces.notices('churn')).toEqual(['no span has come since the start (POST /v1/traces)'])
    await traces.take([{ ...predicted(9, '1.1.0', 1), name: 'GET /' }])
    expect(traces.notices('churn')[0]).toMatch(/^none of 1 spans since the start is a prediction of this route/)
    const answer = await traces.take([
      predicted(0, '1.0.0', 1),
      predicted(0, '1.1.0', 1),
      predicted(0, '1.1.0', 1),
      { ...predicted(0, '1.1.0', 1), name: 'GET /' },
      predicted(1, '9.9.9', 1),
      predicted(1, '9.9.9', 1),
      undefined,
    ])
    expect(answer).toEqual({
      rejectedSpans: 3,
      errorMessage: 'route churn has no version that spans call "9.9.9" (2); spans without ids or times (1)',
    })
    expect(counted).toEqual({
      'churn/taken': 2,
      'churn/repeated': 1,
      '/other': 2,
      'churn/unknown_version': 2,
      '/broken': 1,
      'churn 1.1.0 match': 1,
    })
    expect(traces.notices('churn')).toEqual([
      '2 spans are of no version here, the last: route churn has no version that spans call "9.9.9"',
    ])
    expect(traces.notices('other')).toEqual([])
  })

  it('are not taken at all where an export turns out to be broken, or larger than one may be', async () => {
    const { traces, counted } = tracesOf(await tracedSnapshot())
    function* broken() {
      yield predicted(0, '1.0.0', 1)
      throw new UnderstudyError('BAD_REQUEST', 'garbage')
    }
    await expect(traces.take(broken())).rejects.toMatchObject({ code: 'BAD_REQUEST' })
    function* endless(): Generator<ReadSpan> {
      for (;;) yield predicted(0, '1.0.0', 1)
    }
    await expect(traces.take(endless())).rejects.toMatchObject({ code: 'TOO_LARGE' })
    expect(counted).toEqual({})
    expect(traces.inFlight('churn', '1.1.0')).toBe(0)
    expect((await traces.take([predicted(0, '1.0.0', 1)])).rejectedSpans, 'the next one is').toBe(0)
    expect(traces.inFlight('churn', '1.1.0')).toBe(1)
  })

  it('of one route are no evidence of another', async () => {
    const snapshot = await tracedSnapshot()
    const [churn] = snapshot.routes
    const fraud = { ...churn!, name: 'fraud', spans: { ...churn!.spans!, name: 'score' } }
    const { traces } = tracesOf({ ...snapshot, routes: [churn!, fraud] })
    await traces.take([predicted(0, '1.0.0', 1), { ...predicted(0, '1.1.0', 1), name: 'score' }])
    expect([traces.inFlight('churn', '1.1.0'), traces.inFlight('fraud', '1.1.0')]).toEqual([1, 1])
  })

  it('let the thread do its other work while they are many', async () => {
    const { traces } = tracesOf(await tracedSnapshot({ spans: { ...SPANS, within: '1h' } }))
    let looks = 0
    let isOver = false
    const look = () => {
      looks++
      if (!isOver) setImmediate(look)
    }
    const many = (function* () {
      for (let trace = 0; trace < 20_000; trace++) {
        yield predicted(trace, '1.0.0', 1)
        yield predicted(trace, '1.1.0', trace % 50 === 0 ? 2 : 1)
      }
    })()
    setImmediate(look)
    await traces.take(many)
    isOver = true
    expect(looks).toBeGreaterThan(10)
    const all: Counters = new Map()
    for (const { counters } of traces.end()) for (const slots of counters.values()) addAll(all, slots)
    expect(all.get('mirror.compared')).toBe(20_000)
    expect(all.get('pair.mismatch')).toBe(400)
  })
})
