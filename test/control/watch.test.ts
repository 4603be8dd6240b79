import { describe, expect, test } from 'vitest'
import { Route } from '../../src/config/schema.ts'
import {
  type EpochSources,
  type HoldbackPeriod,
  newWatch,
  nextWatch,
  readWatch,
  type Watch,
} from '../../src/control/watch.ts'
import { SLOT } from '../../src/evidence/counters.ts'
import { DECLINE_EPOCH_MS, LEAST_REFERENCE } from '../../src/gate/detector.ts'

const policy = Route.parse({ live: '2.0.0', versions: { '2.0.0': { onnx: 'm/2.0.0', weight: 100 } } })
const LIVE = '2.0.0 digest'
const nobody = { n: 0, errors: 0 }
const sources = (answers: { n: number; errors: number }, more: Partial<EpochSources> = {}): EpochSources => ({
  policy,
  holdback: undefined,
  isSticky: false,
  answers,
  ...more,
})
/** The watch after these epochs, and after how many there was an alarm. */
const run = (start: Watch, epochs: readonly EpochSources[]) => {
  let watch = start
  let alarmAfter: number | undefined
  for (const [index, epoch] of epochs.entries()) {
    watch = nextWatch(watch, epoch, (index + 1) * DECLINE_EPOCH_MS)
    if (watch.alarm !== undefined) alarmAfter ??= index + 1
  }
  return { watch, alarmAfter }
}
const repeated = (count: number, errors: number, n = 1_000) => new Array(count).fill(sources({ n, errors }))
const proven = () => newWatch(LIVE, { n: 10_000, errors: 100 }, [], policy)

describe('the frozen reference', () => {
  test('is what the version did as a canary, and does not move with what it does later', () => {
    const start = proven()
    expect(start.p0).toBeGreaterThan(0.01)
    const { watch } = run(start, repeated(50, 10))
    expect(watch.p0).toBe(start.p0)
    expect(watch.reference).toEqual({ n: 10_000, errors: 100 })
    expect(watch.against).toBe('frozen')
    expect(watch.alarm).toBeUndefined()
  })

  test('is taken from the first answers where there was no canary, which are judged by nothing', () => {
    const first = run(newWatch(LIVE, nobody, [], policy), repeated(3, 400, 400))
    expect(first.watch.reference.n).toBeGreaterThanOrEqual(LEAST_REFERENCE)
    expect(first.watch.p0).toBe(0.95)
    expect(first.alarmAfter).toBeUndefined()
    const one = nextWatch(newWatch(LIVE, nobody, [], policy), sources({ n: 10, errors: 0 }), 1)
    expect(one).toMatchObject({ against: 'counting', reference: { n: 10, errors: 0 } })
    expect(one.p0).toBeUndefined()
  })
})

describe('an alarm', () => {
  test('comes within a minute of a sudden failure, and names when it began and how bad it is', () => {
    const { watch, alarmAfter } = run(proven(), [...repeated(100, 5), ...repeated(3, 60)])
    expect(alarmAfter).toBeLessThanOrEqual(102)
    expect(watch.alarm).toMatchObject({ metric: 'errors', since: 100 * DECLINE_EPOCH_MS })
    expect(watch.alarm!.live.sum / watch.alarm!.live.n).toBeCloseTo(0.06, 9)
    expect(watch.alarm!.reason).toContain('6 % of')
  })

  test('comes for a decline that creeps over a day, long before it has doubled the rate', () => {
    // 8,640 epochs of 10 s, 1 % to 3 %: what a reference that follows would never see.
    const ramp = Array.from({ length: 8_640 }, (_, epoch) =>
      sources({ n: 1_000, errors: Math.round(1_000 * 0.01 * (1 + (2 * epoch) / 8_640)) }),
    )
    const { alarmAfter } = run(proven(), ramp)
    expect(1 + (2 * alarmAfter!) / 8_640).toBeLessThan(2)
  })

  test('stays as it is while it lasts, and is over when nothing speaks for it any more', () => {
    const declined = run(proven(), [...repeated(10, 5), ...repeated(3, 60)]).watch
    const later = run(declined, repeated(1, 60)).watch
    expect(later.alarm).toEqual(declined.alarm)
    const recovered = run(later, repeated(400, 5))
    expect(recovered.watch.alarm).toBeUndefined()
    // And the next decline is found again.
    expect(run(recovered.watch, repeated(5, 60)).alarmAfter).toBeLessThanOrEqual(5)
  })

  test('does not come from a night without traffic', () => {
    const { watch } = run(proven(), repeated(100_000, 0, 0))
    expect(watch.detector.epochs).toBe(0)
    expect(watch.log).toBeUndefined()
  })
})

describe('a holdback', () => {
  const slots = (live: number, liveErrors: number, held: number, heldErrors: number, key = 'k1'): HoldbackPeriod => ({
    key,
    share: 0.02,
    counters: new Map([
      [SLOT.armBaseline, live],
      [SLOT.armBaselineError, liveErrors],
      [SLOT.armCandidate, held],
      [SLOT.armCandidateError, heldErrors],
    ]),
  })
  const held = (periods: readonly HoldbackPeriod[], more: Partial<EpochSources> = {}) =>
    sources(nobody, { holdback: { version: '1.0.0', periods }, ...more })

  test('is read by what was counted since the last epoch, though its counters only grow', () => {
    const growing = Array.from({ length: 400 }, (_, epoch) =>
      held([slots(980 * (epoch + 1), 10 * (epoch + 1), 20 * (epoch + 1), 0)]),
    )
    const even = Array.from({ length: 400 }, (_, epoch) => {
      const rounds = Math.floor((epoch + 1) / 5)
      return held([slots(980 * (epoch + 1), 49 * rounds, 20 * (epoch + 1), rounds)])
    })
    expect(run(proven(), even).alarmAfter).toBeUndefined()
    const { watch, alarmAfter } = run(proven(), growing)
    expect(alarmAfter).toBeDefined()
    expect(watch.against).toBe('holdback')
    expect(watch.alarm!.reason).toContain('of the holdback 1.0.0')
  })

  test('that fails as much excuses live, which the frozen rate would not', () => {
    const both = Array.from({ length: 60 }, (_, epoch) =>
      held([slots(980 * (epoch + 1), 490 * (epoch + 1), 20 * (epoch + 1), 10 * (epoch + 1))]),
    )
    expect(run(proven(), both).alarmAfter).toBeUndefined()
    expect(run(proven(), repeated(60, 500)).alarmAfter).toBe(1)
  })

  test('of a sticky route is not asked about errors: its split counts each user once', () => {
    const blind = held([slots(0, 0, 0, 0)], { isSticky: true, answers: { n: 1_000, errors: 500 } })
    expect(run(proven(), [blind]).alarmAfter).toBe(1)
    expect(run(proven(), [{ ...blind, isSticky: false }]).alarmAfter).toBeUndefined()
  })

  test('starts with what was counted before the promotion as seen', () => {
    const old = { ...slots(9_800, 9_800, 200, 0, 'k0'), endedAt: 5 }
    const start = newWatch(LIVE, nobody, [old], policy)
    expect(run(start, [held([old, slots(980, 0, 20, 0)])]).alarmAfter).toBeUndefined()
    expect(run({ ...start, seen: {} }, [held([old])]).alarmAfter).toBe(1)
  })

  test('whose counters went back, as after a restored store, is no evidence', () => {
    const before = run(proven(), [held([slots(9_800, 50, 200, 1)])]).watch
    const restored = nextWatch(before, held([slots(980, 5, 20, 0)]), 1)
    expect(restored.detector.epochs).toBe(before.detector.epochs)
  })
})

describe('what is kept', () => {
  test('goes on after a restart with the very same evidence', () => {
    const epochs = [...repeated(20, 12), ...repeated(5, 25)]
    const whole = run(proven(), epochs)
    let watch = proven()
    for (const [index, epoch] of epochs.entries()) {
      watch = readWatch(JSON.stringify(nextWatch(watch, epoch, (index + 1) * DECLINE_EPOCH_MS)), LIVE)!
    }
    expect(watch).toEqual(whole.watch)
  })

  test('is given up with the promotion, and where it cannot be read', () => {
    const text = JSON.stringify(proven())
    expect(readWatch(text, '3.0.0 other')).toBeUndefined()
    expect(readWatch(undefined, LIVE)).toBeUndefined()
    expect(readWatch('{', LIVE)).toBeUndefined()
    expect(readWatch('{"live":"2.0.0 digest"}', LIVE)).toBeUndefined()
  })
})
