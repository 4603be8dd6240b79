import { describe, expect, it } from 'vitest'
import { Answered } from '../../src/control/answered.ts'
import { codeKey, ofCodeKey, VersionTeller } from '../../src/serving/counted.ts'
import type { RuntimeRoute, RuntimeVersion } from '../../src/serving/runtime.ts'
import { DurationCounts, INFERENCE_BUCKETS_S, REQUEST_BUCKETS_S } from '../../src/telemetry/durations.ts'

interface Version extends RuntimeVersion {
  answers(code: number, times?: number, protocol?: 'v1' | 'v2'): void
}

function version(name: string): Version {
  const answered = new Map<number, DurationCounts>()
  const assigned = { answers: 0, errors: 0 }
  const inference = new DurationCounts(INFERENCE_BUCKETS_S)
  const answers = (code: number, times = 1, protocol: 'v1' | 'v2' = 'v2') => {
    const key = codeKey(code, protocol)
    const durations = answered.get(key) ?? new DurationCounts(REQUEST_BUCKETS_S)
    answered.set(key, durations)
    for (let time = 0; time < times; time++) {
      durations.add(0.002)
      inference.add(0.001)
      assigned.answers++
      if (code >= 500) assigned.errors++
    }
  }
  const all = { snapshot: { version: name }, answered, assigned, inference, toldAs: undefined, answers }
  return all as unknown as Version
}

function route(name: string, ...versions: readonly Version[]): RuntimeRoute {
  return { snapshot: { name }, versions, live: versions[0] } as unknown as RuntimeRoute
}

/** A serving thread that tells of these routes, as its message comes to the control thread. */
function told(teller: VersionTeller, ...routes: readonly RuntimeRoute[]) {
  for (const each of routes) teller.tell(each)
  const message = teller.take()
  return structuredClone(message, { transfer: [message.numbers.buffer] })
}

const counts = (answered: Answered) =>
  Object.fromEntries(
    answered
      .take()
      .map(({ route: name, version: of, codes }) => [
        `${name}/${of}`,
        Object.fromEntries(codes.map(({ code, protocol, count }) => [`${code} ${protocol}`, count])),
      ]),
  )

describe('what requests came to', () => {
  it('comes from the thread that answered to the one that is asked, version by version', () => {
    const [live, canary, idle, other] = [version('1.0.0'), version('1.1.0'), version('1.2.0'), version('3.0.0')]
    const [m, n] = [route('m', live, canary, idle), route('n', other)]
    live.answers(200, 3)
    live.answers(200, 1, 'v1')
    live.answers(503, 2)
    canary.answers(404)
    other.answers(200)
    const answered = new Answered()
    answered.told('serving-1', told(new VersionTeller(), m, n), 1_000)
    const taken = answered.take()
    expect(taken.map(({ route: name, version: of, role, lastMs }) => [name, of, role, lastMs])).toEqual([
      ['m', '1.0.0', 'live', 1_000],
      ['m', '1.1.0', 'canary', 1_000],
      ['n', '3.0.0', 'live', 1_000],
    ])
    const [{ codes, inference }] = taken as [(typeof taken)[0]]
    expect(codes.map(({ code, protocol, count }) => [code, protocol, count])).toEqual([
      [200, 'v2', 3],
      [200, 'v1', 1],
      [503, 'v2', 2],
    ])
    expect(codes[0]!.sumSeconds).toBeCloseTo(0.006)
    expect(codes[0]!.buckets).toHaveLength(REQUEST_BUCKETS_S.length + 1)
    expect(codes[0]!.buckets[REQUEST_BUCKETS_S.indexOf(0.0025)]).toBe(3)
    expect(inference).toMatchObject({ count: 6 })
    expect(inference!.buckets[INFERENCE_BUCKETS_S.indexOf(0.001)]).toBe(6)
    expect(answered.take()).toEqual([])
  })

  it('adds up over ticks and threads until it is taken, and names each version once', () => {
    const answered = new Answered()
    const [one, two] = [version('1.0.0'), version('1.0.0')]
    const [first, second] = [new VersionTeller(), new VersionTeller()]
    one.answers(200)
    const opening = told(first, route('m', one))
    answered.told('serving-1', opening, 1)
    one.answers(200, 4)
    one.answers(500)
    const next = told(first, route('m', one))
    answered.told('serving-1', next, 2)
    two.answers(200, 10)
    answered.told('serving-2', told(second, route('m', two)), 3)
    expect([opening.named.length, next.named.length]).toEqual([1, 0])
    const taken = answered.take()
    expect(taken.map(({ codes }) => codes.map(({ count }) => count))).toEqual([[5, 1], [10]])
    expect(answered.takeAnswers()).toEqual(new Map([['m/1.0.0', { n: 16, errors: 1 }]]))
    expect(answered.takeAnswers()).toEqual(new Map())
  })

  it('tells nothing of a version that did not answer, and a quiet tick nothing at all', () => {
    const teller = new VersionTeller()
    const quiet = version('1.0.0')
    expect(told(teller, route('m', quiet))).toEqual({ named: [], gone: [], numbers: new Float64Array(0) })
    quiet.answers(200)
    told(teller, route('m', quiet))
    expect(told(teller, route('m', quiet)).numbers).toHaveLength(0)
  })

  it('is still taken of a version that is told of for the last time, and of a thread that has ended', () => {
    const answered = new Answered()
    const teller = new VersionTeller()
    const [old, fresh] = [version('1.0.0'), version('1.0.0')]
    old.answers(200, 2)
    teller.tell(route('m', old))
    teller.forget([old, version('never answered')])
    const last = told(teller)
    expect(last.gone).toEqual([old.toldAs])
    answered.told('serving-1', last, 1)
    fresh.answers(200, 3)
    answered.told('serving-1', told(teller, route('m', fresh)), 2)
    expect(fresh.toldAs, 'a number is nobody else’s').not.toBe(old.toldAs)
    const again = { named: [], gone: [], numbers: Float64Array.from([old.toldAs!, 1, 0, 0, 0, 0]) }
    expect(() => answered.told('serving-1', again, 2), 'nothing is known of it any more').toThrow()
    answered.ended('serving-1')
    expect(answered.take().map(({ codes }) => codes[0]!.count)).toEqual([2, 3])
  })

  it('counts no answers of a version that left, and begins anew when it is back', () => {
    const answered = new Answered()
    const teller = new VersionTeller()
    const [old, fresh] = [version('1.0.0'), version('1.0.0')]
    old.answers(200, 2)
    answered.told('serving-1', told(teller, route('m', old)), 1)
    answered.forget('m', '1.0.0')
    old.answers(200, 5)
    answered.told('serving-1', told(teller, route('m', old)), 2)
    expect(answered.takeAnswers()).toEqual(new Map())
    fresh.answers(200)
    answered.told('serving-1', told(teller, route('m', fresh)), 3)
    expect(answered.takeAnswers()).toEqual(new Map([['m/1.0.0', { n: 1, errors: 0 }]]))
    expect(counts(answered)).toEqual({ 'm/1.0.0': { '200 v2': 1 } })
  })

  it('has a number for every code and protocol', () => {
    for (const code of [100, 200, 404, 503, 599]) {
      for (const protocol of ['v2', 'v1', 'mlflow', 'json'] as const) {
        expect(ofCodeKey(codeKey(code, protocol))).toEqual({ code, protocol })
      }
    }
  })
})
