import { expect, it } from 'vitest'
import { Meters } from '../../src/control/meters.ts'
import { monotonicMs } from '../../src/record/clock.ts'
import type { Snapshot } from '../../src/rollout/snapshot.ts'
import { CountedMemory, VersionCounts } from '../../src/serving/counted.ts'
import { Metrics } from '../../src/telemetry/metrics.ts'
import { parseExposition } from '../telemetry/exposition.ts'

/** A serving thread, as control hears of it. */
function thread(meters: Meters, name: string) {
  const memory = new CountedMemory()
  const tick = () =>
    meters.served(name, { kind: 'tick', post: { settled: 0, epochs: [] }, versions: memory.take(), refused: [] })
  /** 2 of 200 and, of what no tester asked, one of 503. */
  const answers = (version: string, startMs = 0) => {
    const counts = new VersionCounts(memory, { route: 'm', version, role: 'live' })
    for (const [status, durationMs] of [
      [200, 2],
      [200, 2],
      [503, 250],
    ] as const) {
      counts.answered(status, 'v2', startMs + durationMs, durationMs, 1)
      counts.assigned(status === 503)
    }
    tick()
  }
  return { answers }
}

const snapshot = (...versions: readonly string[]) =>
  ({
    routes: [
      {
        name: 'm',
        paths: [],
        versions: versions.map(version => ({ version, weight: 0, digest: '', target: { kind: 'url' } })),
      },
    ],
  }) as unknown as Snapshot

const read = async (meters: Meters) => {
  const { body } = await meters.metrics.text()
  return { body, ...parseExposition(body) }
}

it('has what threads told in the metrics once they are to be read, and in the statistics', async () => {
  const meters = new Meters(new Metrics())
  meters.applied(snapshot('1.0.0'))
  const startMs = monotonicMs()
  thread(meters, 'serving-1').answers('1.0.0', startMs)
  meters.settle()
  const { value } = await read(meters)
  expect(value('understudy_requests_total{route="m",version="1.0.0",role="live",code="200"}')).toBe(2)
  expect(value('understudy_requests_total{route="m",version="1.0.0",role="live",code="503"}')).toBe(1)
  expect(value('understudy_request_duration_seconds_count{route="m",version="1.0.0",role="live"}')).toBe(3)
  expect(value('understudy_inference_duration_seconds_count{route="m",version="1.0.0",role="live"}')).toBe(3)
  thread(meters, 'serving-2').answers('1.0.0', startMs - 60_000)
  const statistics = JSON.parse(meters.statistics())
  expect(statistics).toEqual({ 'm/1.0.0': { succeeded: 4, failed: 2, inferMs: 6, lastMs: expect.any(Number) } })
  expect(Math.abs(Date.now() - statistics['m/1.0.0'].lastMs), 'when the last of both answered').toBeLessThan(30_000)
  expect(meters.takeAnswers()).toEqual(new Map([['m/1.0.0', { n: 6, errors: 2 }]]))
})

it('brings nothing back of a version that left while what it answered waited to be read', async () => {
  const meters = new Meters(new Metrics())
  meters.applied(snapshot('1.0.0', '1.1.0'))
  const { answers } = thread(meters, 'serving-1')
  answers('1.0.0')
  answers('1.1.0')
  meters.applied(snapshot('1.0.0'))
  meters.settle()
  const { body } = await meters.metrics.text()
  expect(body).toContain('version="1.0.0"')
  expect(body).not.toContain('version="1.1.0"')
  expect(Object.keys(JSON.parse(meters.statistics()))).toEqual(['m/1.0.0'])
  expect([...meters.takeAnswers().keys()]).toEqual(['m/1.0.0'])
})

it('brings nothing back of a version that answers after it left: a request may be under way that long', async () => {
  const meters = new Meters(new Metrics())
  meters.applied(snapshot('1.0.0', '1.1.0'))
  meters.applied(snapshot('1.0.0'))
  const { answers } = thread(meters, 'serving-1')
  answers('1.1.0')
  meters.settle()
  const { body } = await read(meters)
  expect(body).not.toContain('version="1.1.0"')
  expect(meters.statistics()).toBe('{}')
  const served = 'http_server_request_duration_seconds_count{http_request_method="POST"'
  expect(body, 'but the request was one').toContain(served)
})

it('has what a thread counted that has ended', async () => {
  const meters = new Meters(new Metrics())
  meters.applied(snapshot('1.0.0'))
  thread(meters, 'serving-1').answers('1.0.0')
  meters.ended('serving-1')
  const { value } = await read(meters)
  expect(value('understudy_requests_total{route="m",version="1.0.0",role="live",code="200"}')).toBe(2)
})
