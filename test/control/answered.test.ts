import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Answered } from '../../src/control/answered.ts'
import {
  CODE_NUMBERS,
  CountedMemory,
  codeKey,
  ofCodeKey,
  VERSION_NUMBERS,
  VersionCounts,
} from '../../src/serving/counted.ts'
import type { CountedVersions } from '../../src/serving/message.ts'
import { INFERENCE_BUCKETS_S, REQUEST_BUCKETS_S } from '../../src/telemetry/durations.ts'

/** A serving thread, of which control hears when it ticks. */
function world() {
  const answered = new Answered()
  const thread = (name: string) => {
    const memory = new CountedMemory()
    const version = (of: string, route = 'm', role: 'live' | 'canary' = 'live') => {
      const counts = new VersionCounts(memory, { route, version: of, role })
      const answers = (status: number, times = 1, protocol: 'v1' | 'v2' = 'v2') => {
        for (let time = 0; time < times; time++) {
          counts.answered(status, protocol, 1_002, 2, 1)
          counts.assigned(status >= 500)
        }
      }
      return { counts, answers }
    }
    return { version, memory, tick: () => answered.told(name, memory.take()), end: () => answered.ended(name) }
  }
  return { answered, thread }
}

const counts = (answered: Answered) =>
  Object.fromEntries(
    answered
      .take()
      .map(({ route, version, codes }) => [
        `${route}/${version}`,
        Object.fromEntries(codes.map(({ code, protocol, count }) => [`${code} ${protocol}`, count])),
      ]),
  )

describe('what requests came to', () => {
  it('comes from the thread that answered to the one that is asked, version by version', () => {
    const { answered, thread } = world()
    const { version, tick } = thread('serving-1')
    const [live, canary, other] = [version('1.0.0'), version('1.1.0', 'm', 'canary'), version('3.0.0', 'n')]
    version('1.2.0')
    live.answers(200, 3)
    live.answers(200, 1, 'v1')
    live.answers(503, 2)
    canary.answers(404)
    other.counts.answered(200, 'v2', 7_500, 500, 1)
    tick()
    const taken = answered.take()
    expect(taken.map(({ route, version: of, role, lastMs }) => [route, of, role, lastMs])).toEqual([
      ['m', '1.0.0', 'live', 1_002],
      ['m', '1.1.0', 'canary', 1_002],
      ['n', '3.0.0', 'live', 7_500],
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

  it('is read as it stands, without a tick, once a version and a code are known', () => {
    const { answered, thread } = world()
    const { version, tick, memory } = thread('serving-1')
    const live = version('1.0.0')
    live.answers(200)
    expect(answered.take(), 'nothing is known of it yet').toEqual([])
    tick()
    live.answers(200, 4)
    live.answers(500, 2)
    expect(counts(answered)).toEqual({ 'm/1.0.0': { '200 v2': 5 } })
    expect(answered.takeAnswers()).toEqual(new Map([['m/1.0.0', { n: 7, errors: 2 }]]))
    tick()
    expect(counts(answered), 'a code that came later').toEqual({ 'm/1.0.0': { '500 v2': 2 } })
    live.answers(200)
    expect(memory.take(), 'nothing needs telling of what is known').toEqual({ named: [], codes: [], gone: [] })
    expect(counts(answered)).toEqual({ 'm/1.0.0': { '200 v2': 1 } })
  })

  it('adds up over threads, and gives each answer once', () => {
    const { answered, thread } = world()
    const [first, second] = [thread('serving-1'), thread('serving-2')]
    const [one, two] = [first.version('1.0.0'), second.version('1.0.0')]
    one.answers(200, 5)
    one.answers(500)
    two.answers(200, 10)
    first.tick()
    second.tick()
    expect(answered.take().map(({ codes }) => codes.map(({ count }) => count))).toEqual([[5, 1], [10]])
    expect(answered.takeAnswers()).toEqual(new Map([['m/1.0.0', { n: 16, errors: 1 }]]))
    expect(answered.takeAnswers()).toEqual(new Map())
    expect(answered.take()).toEqual([])
  })

  it('loses nothing and counts nothing twice, whatever is counted, told and read in which order', () => {
    const VERSIONS = ['1.0.0', '1.1.0', '2.0.0']
    const answer = fc.record({
      thread: fc.nat(1),
      version: fc.nat(2),
      code: fc.constantFrom(200, 404, 503),
      forced: fc.boolean(),
    })
    const event = fc.record({ thread: fc.nat(1), what: fc.constantFrom('posts', 'is heard', 'reloads', 'dies') })
    const step = fc.oneof(answer, event, fc.constantFrom('take' as const, 'answers' as const))
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), steps => {
        const answered = new Answered()
        let started = 0
        /** What it posts waits until control hears it; a thread that dies posts no more, and another takes its place. */
        const start = () => {
          const memory = new CountedMemory()
          const build = () => VERSIONS.map(version => new VersionCounts(memory, { route: 'm', version, role: 'live' }))
          return { name: `serving-${started++}`, memory, build, standing: build(), posted: [] as CountedVersions[] }
        }
        const threads = [start(), start()]
        const hear = ({ name, posted }: (typeof threads)[0]) => {
          for (const each of posted.splice(0)) answered.told(name, each)
        }
        const wanted = { requests: 0, assigned: 0, errors: 0 }
        const found = { requests: 0, assigned: 0, errors: 0, inferences: 0 }
        const take = () => {
          for (const { codes, inference } of answered.take()) {
            for (const { count } of codes) found.requests += count
            found.inferences += inference?.count ?? 0
          }
        }
        const takeAnswers = () => {
          for (const { n, errors } of answered.takeAnswers().values()) {
            found.assigned += n
            found.errors += errors
          }
        }
        for (const each of steps) {
          if (each === 'take') take()
          else if (each === 'answers') takeAnswers()
          else if ('code' in each) {
            const counts = threads[each.thread]!.standing[each.version]!
            counts.answered(each.code, 'v2', 0, 1, 1)
            wanted.requests++
            if (each.forced) continue
            counts.assigned(each.code >= 500)
            wanted.assigned++
            if (each.code >= 500) wanted.errors++
          } else {
            const thread = threads[each.thread]!
            if (each.what === 'posts') thread.posted.push(thread.memory.take())
            else if (each.what === 'is heard') hear(thread)
            else if (each.what === 'reloads') {
              for (const counts of thread.standing) counts.end()
              thread.standing = thread.build()
            } else {
              // What it had not posted is lost with it, which is not looked at here.
              thread.posted.push(thread.memory.take())
              hear(thread)
              answered.ended(thread.name)
              threads[each.thread] = start()
            }
          }
        }
        for (const thread of threads) {
          thread.posted.push(thread.memory.take())
          hear(thread)
        }
        take()
        takeAnswers()
        expect(found).toEqual({ ...wanted, inferences: wanted.requests })
      }),
    )
  })

  it('is still taken of a version that nobody asks any more, and of a thread that has ended', () => {
    const { answered, thread } = world()
    const { version, tick, end, memory } = thread('serving-1')
    const [old, fresh, silent] = [version('1.0.0'), version('1.0.0'), version('1.1.0')]
    old.answers(200, 2)
    tick()
    old.answers(200)
    old.counts.end()
    silent.counts.end()
    tick()
    fresh.answers(200, 4)
    const told = memory.take()
    expect(told.named[0]!.number, 'a number is nobody else’s').toBe(1)
    answered.told('serving-1', told)
    end()
    expect(answered.takeAnswers()).toEqual(new Map([['m/1.0.0', { n: 7, errors: 0 }]]))
    expect(answered.take().map(({ codes }) => codes[0]!.count)).toEqual([3, 4])
    expect(answered.take(), 'and then no more').toEqual([])
  })

  it('counts no answers of a version that left, and begins anew when it is back', () => {
    const { answered, thread } = world()
    const { version, tick } = thread('serving-1')
    const old = version('1.0.0')
    old.answers(200, 2)
    tick()
    answered.forget('m', '1.0.0')
    old.answers(200, 5)
    expect(answered.takeAnswers()).toEqual(new Map())
    const fresh = version('1.0.0')
    fresh.answers(200)
    tick()
    expect(answered.takeAnswers()).toEqual(new Map([['m/1.0.0', { n: 1, errors: 0 }]]))
  })

  it('has room for any number of versions and codes, none in another’s place', () => {
    const { answered, thread } = world()
    const { version, tick, memory } = thread('serving-1')
    for (let index = 0; index < 1_000; index++) {
      const { answers } = version(`${index}`)
      for (let code = 0; code <= index % 3; code++) answers(200 + code, 1 + (index % 7))
    }
    const told = memory.take()
    const places = [
      ...told.named.map(each => [each, VERSION_NUMBERS] as const),
      ...told.codes.map(each => [each, CODE_NUMBERS] as const),
    ]
    const taken = new Map<SharedArrayBuffer, Uint8Array>()
    for (const [{ memory: page, start }, length] of places) {
      const used = taken.get(page) ?? new Uint8Array(page.byteLength / 8)
      taken.set(page, used)
      expect(start + length).toBeLessThanOrEqual(used.length)
      for (let at = start; at < start + length; at++) expect(used[at]!++).toBe(0)
    }
    expect(taken.size, 'several share a page').toBeLessThan(12)
    answered.told('serving-1', told)
    tick()
    for (const { version: name, codes } of answered.take()) {
      const index = Number(name)
      expect(codes.map(({ code, count }) => [code, count])).toEqual(
        Array.from({ length: 1 + (index % 3) }, (_, code) => [200 + code, 1 + (index % 7)]),
      )
    }
  })

  it('has a number for every code and protocol', () => {
    for (const code of [100, 200, 404, 503, 599]) {
      for (const protocol of ['v2', 'v1', 'mlflow', 'json'] as const) {
        expect(ofCodeKey(codeKey(code, protocol))).toEqual({ code, protocol })
      }
    }
  })
})
