import { expect, it } from 'vitest'
import { Meters } from '../../src/control/meters.ts'
import type { Snapshot } from '../../src/rollout/snapshot.ts'
import type { FromServing } from '../../src/serving/message.ts'
import { Metrics } from '../../src/telemetry/metrics.ts'
import { parseExposition } from '../telemetry/exposition.ts'

type Tick = Extract<FromServing, { kind: 'tick' }>

/** One version's answers: 2 of 200 and, of what no tester asked, one of 503. */
function tick(number: number, version: string): Tick {
  // Number, answers, errors; the model's sum, buckets and the bucket; codes; each with its key, sum, buckets and the bucket.
  const numbers = [number, 3, 1, 0.003, 1, 2, 3, 2, 200 * 4, 0.5, 1, 5, 2, 503 * 4, 0.25, 1, 5, 1]
  return {
    kind: 'tick',
    post: { settled: 0, epochs: [] },
    versions: { named: [{ number, route: 'm', version, role: 'live' }], numbers: Float64Array.from(numbers), gone: [] },
    refused: [],
  }
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

const read = async (meters: Meters) => parseExposition((await meters.metrics.text()).body)

it('has what threads told in the metrics once they are to be read, and in the statistics', async () => {
  const meters = new Meters(new Metrics())
  meters.applied(snapshot('1.0.0'))
  meters.served('serving-1', tick(0, '1.0.0'))
  meters.settle()
  const { value } = await read(meters)
  expect(value('understudy_requests_total{route="m",version="1.0.0",role="live",code="200"}')).toBe(2)
  expect(value('understudy_requests_total{route="m",version="1.0.0",role="live",code="503"}')).toBe(1)
  expect(value('understudy_request_duration_seconds_count{route="m",version="1.0.0",role="live"}')).toBe(3)
  expect(value('understudy_inference_duration_seconds_count{route="m",version="1.0.0",role="live"}')).toBe(3)
  meters.served('serving-2', tick(0, '1.0.0'))
  expect(JSON.parse(meters.statistics())).toEqual({
    'm/1.0.0': { succeeded: 4, failed: 2, inferMs: 6, lastMs: expect.any(Number) },
  })
  expect(meters.takeAnswers()).toEqual(new Map([['m/1.0.0', { n: 6, errors: 2 }]]))
})

it('brings nothing back of a version that left while what it answered waited to be read', async () => {
  const meters = new Meters(new Metrics())
  meters.applied(snapshot('1.0.0', '1.1.0'))
  meters.served('serving-1', tick(0, '1.0.0'))
  meters.served('serving-1', tick(1, '1.1.0'))
  meters.applied(snapshot('1.0.0'))
  meters.settle()
  const { body } = await meters.metrics.text()
  expect(body).toContain('version="1.0.0"')
  expect(body).not.toContain('version="1.1.0"')
  expect(Object.keys(JSON.parse(meters.statistics()))).toEqual(['m/1.0.0'])
  expect([...meters.takeAnswers().keys()]).toEqual(['m/1.0.0'])
})
