import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { InferRequest } from '../../src/protocols/codec.ts'
import type { Tensor } from '../../src/protocols/tensor.ts'
import { OUTCOME, type RequestRecord } from '../../src/record/format.ts'
import type { SnapshotRoute, SnapshotVersion } from '../../src/rollout/snapshot.ts'
import type { ScoreOutcome } from '../../src/scoring/scorer.ts'
import { joined } from '../../src/shadow/batch.ts'
import { type Candidate, Mirror, type MirroredRequest } from '../../src/shadow/mirror.ts'
import { type Observation, Task } from '../../src/shadow/task.ts'
import { useFakeTime, useRealTime } from '../fakeTime.ts'

type Settings = SnapshotVersion['shadow']

const settings = (change: Partial<Settings> = {}): Settings => ({
  percent: 100,
  max: undefined,
  batch: 32,
  wait: 20,
  deadline: 5_000,
  unbatched: 0,
  ...change,
})

const limits = { body: 1 << 20, depth: 64, elements: 1000 }
const route = { limits, compare: [], versions: [] } as unknown as SnapshotRoute

function task(
  value: number,
  {
    rows = 1,
    width = 1,
    body,
    untimed = false,
  }: { rows?: number; width?: number; body?: string; untimed?: boolean } = {},
): Task {
  const data = new Array(rows * width).fill(value)
  const request = Buffer.from(
    body ?? JSON.stringify({ inputs: [{ name: 'x', datatype: 'FP32', shape: [rows, width], data }] }),
  )
  const forms = { protocol: 'v2', requestForm: '', answerForm: '' }
  return new Task(
    { request, answer: Buffer.alloc(0), outcome: OUTCOME.ok, untimed, ...forms } as unknown as RequestRecord,
    route,
  )
}

/** What became of one offered request. */
interface End {
  observation?: Observation
  dropped?: string
  notSampled?: true
}

function offer(mirror: Mirror, offered: Task): End {
  const end: End = {}
  const once = () => expect(end, 'a request ends once').toEqual({})
  mirror.offer(offered, {
    observed: observation => {
      once()
      end.observation = observation
    },
    dropped: reason => {
      once()
      end.dropped = reason
    },
    notSampled: () => {
      once()
      end.notSampled = true
    },
  })
  return end
}

const ok = (outputs: readonly Tensor[]): ScoreOutcome => ({ ok: true, outputs, inferMs: 1, queueMs: 0 })
type FailureCode = Extract<ScoreOutcome, { ok: false }>['code']

const failure = (code: FailureCode): ScoreOutcome => ({
  ok: false,
  code,
  message: code,
  inferMs: 1,
  queueMs: 0,
})

/** A candidate that answers with what it was given, or as `answer` says; `held` ones answer when released. */
class FakeCandidate implements Candidate {
  readonly concurrency: number
  readonly sendRaw: Candidate['sendRaw']
  readonly calls: number[] = []
  closed = 0
  underWay = 0
  mostUnderWay = 0
  answer: (inputs: readonly Tensor[]) => ScoreOutcome = ok
  #held: (() => void)[] | undefined

  constructor({ concurrency = 1, held = false, raw = false } = {}) {
    this.concurrency = concurrency
    if (held) this.#held = []
    this.sendRaw = raw ? (sent: Task) => this.score([sent.request!]) : undefined
  }

  requestFor(asked: Task): InferRequest | undefined {
    return asked.request
  }

  async score(requests: readonly MirroredRequest[]): Promise<ScoreOutcome> {
    const { inputs } = joined(requests as InferRequest[])
    this.calls.push(inputs[0]!.shape[0]!)
    this.mostUnderWay = Math.max(this.mostUnderWay, ++this.underWay)
    if (this.#held) await new Promise<void>(resolve => this.#held!.push(resolve))
    this.underWay--
    return this.answer(inputs)
  }

  /** Lets the calls under way end. */
  release(forGood = false): void {
    const held = this.#held ?? []
    this.#held = forGood ? undefined : []
    for (const resolve of held) resolve()
  }

  async close(): Promise<void> {
    this.closed++
  }
}

const ends = (list: readonly End[]) => ({
  observed: list.filter(end => end.observation).length,
  dropped: list.filter(end => end.dropped).length,
  notSampled: list.filter(end => end.notSampled).length,
  open: list.filter(end => Object.keys(end).length === 0).length,
})

/** Lets everything that is already due happen, without letting time pass. */
const settle = () => vi.advanceTimersByTimeAsync(0)

beforeEach(() => {
  useFakeTime({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
})
afterEach(() => {
  useRealTime()
})

describe('a mirror', () => {
  it('that is offered nothing sends nothing and closes at once', async () => {
    const candidate = new FakeCandidate()
    const mirror = new Mirror(candidate, settings(), 1e6)
    mirror.pump()
    await mirror.close()
    expect(candidate).toMatchObject({ calls: [], closed: 1 })
  })

  it('sends rows together as soon as a batch is full, and gives each request its own row', async () => {
    const candidate = new FakeCandidate()
    const mirror = new Mirror(candidate, settings({ batch: 4 }), 1e6)
    const list = [1, 2, 3, 4].map(value => offer(mirror, task(value)))
    mirror.pump()
    await settle()
    expect(candidate.calls).toEqual([4])
    for (const [index, { observation }] of list.entries()) {
      expect(observation!.batched).toBe(true)
      const { outcome } = observation!
      expect(outcome.ok && [...(outcome.outputs[0]!.data as Float32Array)]).toEqual([index + 1])
    }
  })

  it('waits for a batch to fill no longer than `wait`', async () => {
    const candidate = new FakeCandidate()
    const mirror = new Mirror(candidate, settings({ wait: 20 }), 1e6)
    const end = offer(mirror, task(1))
    mirror.pump()
    await vi.advanceTimersByTimeAsync(15)
    expect(candidate.calls).toEqual([])
    await vi.advanceTimersByTimeAsync(10)
    expect(candidate.calls).toEqual([1])
    expect(end.observation?.batched).toBe(false)
  })

  it('never sends more rows than `batch`, whatever rows the requests have', async () => {
    const candidate = new FakeCandidate({ concurrency: 100 })
    const mirror = new Mirror(candidate, settings({ batch: 8, wait: 0 }), 1e6)
    const list = [5, 5, 3, 1, 8, 2, 20, 1].map(rows => offer(mirror, task(rows, { rows })))
    mirror.pump()
    await vi.advanceTimersByTimeAsync(100)
    // A request that is larger than a batch by itself is sent alone.
    expect(candidate.calls.filter(rows => rows > 8)).toEqual([20])
    expect(candidate.calls.reduce((a, b) => a + b, 0)).toBe(45)
    expect(ends(list)).toEqual({ observed: 8, dropped: 0, notSampled: 0, open: 0 })
  })

  it('sends only requests of one shape together', async () => {
    const candidate = new FakeCandidate({ concurrency: 10 })
    const mirror = new Mirror(candidate, settings({ batch: 8, wait: 0 }), 1e6)
    const list = [1, 1, 2, 2, 1].map(width => offer(mirror, task(1, { width })))
    mirror.pump()
    await vi.advanceTimersByTimeAsync(100)
    expect(candidate.calls).toEqual([2, 2, 1])
    expect(ends(list).observed).toBe(5)
  })

  it('sends the unbatched share alone', async () => {
    const candidate = new FakeCandidate({ concurrency: 4 })
    const mirror = new Mirror(candidate, settings({ batch: 10, wait: 0, unbatched: 10 }), 1e9)
    const list: End[] = []
    for (let round = 0; round < 100; round++) {
      for (let index = 0; index < 10; index++) list.push(offer(mirror, task(index)))
      mirror.pump()
      await vi.advanceTimersByTimeAsync(10)
    }
    const alone = list.filter(({ observation }) => observation?.batched === false).length
    expect(ends(list)).toMatchObject({ observed: 1000, open: 0 })
    expect(alone).toBeGreaterThanOrEqual(90)
    expect(alone).toBeLessThanOrEqual(220)
  })

  it('sends no more than a hundred a second alone, however many there are', async () => {
    const candidate = new FakeCandidate({ concurrency: 4 })
    const mirror = new Mirror(candidate, settings({ wait: 0, unbatched: 10 }), 1e9)
    const list: End[] = []
    const aloneSince = (from: number) =>
      list.slice(from).filter(({ observation }) => observation?.batched === false).length
    const second = async () => {
      for (let round = 0; round < 100; round++) {
        for (let index = 0; index < 100; index++) list.push(offer(mirror, task(index)))
        mirror.pump()
        await vi.advanceTimersByTimeAsync(10)
      }
    }
    for (let from = 0; from < 30_000; from += 10_000) {
      await second()
      expect(aloneSince(from)).toBeGreaterThanOrEqual(80)
      // What silence has saved up is no more than a tenth of a second's.
      expect(aloneSince(from)).toBeLessThanOrEqual(120)
      await vi.advanceTimersByTimeAsync(5_000)
    }
    expect(ends(list)).toMatchObject({ observed: 30_000, open: 0 })
  })

  it('sends a request of the unbatched share before others, and the others when it is answered', async () => {
    const candidate = new FakeCandidate({ concurrency: 4, held: true })
    const mirror = new Mirror(candidate, settings({ batch: 10, wait: 0, unbatched: 10 }), 1e9)
    const list: End[] = []
    const look = async (count: number) => {
      for (let index = 0; index < count; index++) list.push(offer(mirror, task(index)))
      mirror.pump()
      await settle()
    }
    await look(10)
    expect(candidate.calls).toEqual([10])
    candidate.release()
    await look(21)
    expect(candidate.calls, 'nothing else is put together in its time').toEqual([10, 1])
    candidate.release()
    await settle()
    expect(candidate.calls, 'nor does one go behind others').toEqual([10, 1, 10, 10])
    candidate.release(true)
    await settle()
    expect(ends(list)).toMatchObject({ observed: 31, open: 0 })
  })

  it('sends others and the unbatched share too where answers take longer than to the next look', async () => {
    const candidate = new FakeCandidate({ concurrency: 16, held: true })
    const mirror = new Mirror(candidate, settings({ batch: 10, wait: 0, unbatched: 10 }), 1e9)
    const looks = 20
    for (let round = 1; round <= looks; round++) {
      for (let index = 0; index < 20; index++) offer(mirror, task(index))
      mirror.pump()
      await vi.advanceTimersByTimeAsync(16)
      if (round % 4 === 0) candidate.release()
    }
    const sent = candidate.calls.reduce((sum, rows) => sum + rows, 0)
    expect(sent, 'all that came before the last look').toBeGreaterThanOrEqual((looks - 1) * 20)
    const alone = candidate.calls.filter(rows => rows === 1).length
    expect(alone, 'of the 40 that are its share').toBeGreaterThanOrEqual(30)
  })

  it('sends the others soon where nothing else happens while the unbatched share waits for its answer', async () => {
    const candidate = new FakeCandidate({ concurrency: 4, held: true })
    const mirror = new Mirror(candidate, settings({ batch: 10, wait: 0, unbatched: 10, deadline: 50 }), 1e9)
    for (let index = 0; index < 10; index++) offer(mirror, task(index))
    mirror.pump()
    for (let index = 0; index < 6; index++) offer(mirror, task(index))
    mirror.pump()
    await settle()
    expect(candidate.calls).toEqual([10, 1])
    await vi.advanceTimersByTimeAsync(20)
    expect(candidate.calls, 'well before their deadline').toEqual([10, 1, 5])
    candidate.release(true)
    await mirror.close()
  })

  it('takes the unbatched share of what says something of the live latency, wherever that stands', async () => {
    const candidate = new FakeCandidate({ concurrency: 4 })
    const mirror = new Mirror(candidate, settings({ batch: 10, wait: 0, unbatched: 10 }), 1e9)
    const untimed: End[] = []
    const timed: End[] = []
    for (let look = 0; look < 100; look++) {
      // What shared a run comes by the handful, with one between that did not, and never first.
      for (const each of [true, true, true, false, true, true, true, true, false, true])
        (each ? untimed : timed).push(offer(mirror, task(look, { untimed: each })))
      mirror.pump()
      await vi.advanceTimersByTimeAsync(16)
    }
    const alone = (list: readonly End[]) => list.filter(({ observation }) => observation?.batched === false).length
    expect(ends([...untimed, ...timed])).toMatchObject({ observed: 1000, open: 0 })
    expect(alone(timed), 'a tenth of all').toBeGreaterThanOrEqual(90)
    expect(alone(timed)).toBeLessThanOrEqual(110)
  })

  it('sends everything alone where `unbatched` is 100 or `batch` is 1', async () => {
    for (const change of [{ unbatched: 100 }, { batch: 1 }]) {
      const candidate = new FakeCandidate()
      const mirror = new Mirror(candidate, settings(change), 1e6)
      const list = [1, 2, 3].map(value => offer(mirror, task(value)))
      mirror.pump()
      await settle()
      expect(candidate.calls).toEqual([1, 1, 1])
      expect(list.every(({ observation }) => observation?.batched === false)).toBe(true)
    }
  })

  it('never has more calls under way than the candidate takes', async () => {
    const candidate = new FakeCandidate({ concurrency: 3, held: true })
    const mirror = new Mirror(candidate, settings({ batch: 1 }), 1e6)
    const list = Array.from({ length: 10 }, (_, index) => offer(mirror, task(index)))
    mirror.pump()
    await settle()
    expect(candidate.underWay).toBe(3)
    expect(mirror.inFlight).toBe(10)
    candidate.release(true)
    await vi.advanceTimersByTimeAsync(10)
    expect(candidate.mostUnderWay).toBe(3)
    expect(ends(list).observed).toBe(10)
    expect(mirror).toMatchObject({ inFlight: 0, queuedBytes: 0 })
  })
})

describe('a candidate that hangs', () => {
  it('has what waits too long dropped as expired, while it still hangs', async () => {
    const candidate = new FakeCandidate({ held: true })
    const mirror = new Mirror(candidate, settings({ batch: 1, deadline: 1_000 }), 1e6)
    const list = Array.from({ length: 5 }, (_, index) => offer(mirror, task(index)))
    mirror.pump()
    await vi.advanceTimersByTimeAsync(1_500)
    expect(ends(list)).toEqual({ observed: 0, dropped: 4, notSampled: 0, open: 1 })
    expect(list.slice(1).map(({ dropped }) => dropped)).toEqual(['expired', 'expired', 'expired', 'expired'])
    expect(mirror.queuedBytes).toBe(0)
  })

  it('has the newest dropped as queue_full when its bytes are used up, and memory stays bounded', async () => {
    const candidate = new FakeCandidate({ held: true })
    const size = task(0).bytes
    const mirror = new Mirror(candidate, settings({ batch: 1, deadline: 60_000 }), size * 5)
    const list: End[] = []
    for (let index = 0; index < 1000; index++) {
      list.push(offer(mirror, task(index % 10)))
      mirror.pump()
      expect(mirror.queuedBytes).toBeLessThanOrEqual(size * 5)
    }
    expect(ends(list)).toMatchObject({ dropped: 994, open: 6 })
    expect(new Set(list.map(({ dropped }) => dropped))).toEqual(new Set([undefined, 'queue_full']))
    // The oldest are kept: what was dropped came last.
    expect(list.slice(0, 6).every(({ dropped }) => dropped === undefined)).toBe(true)
  })

  it('has the newest dropped as queue_full when too many wait, however small they are', async () => {
    const candidate = new FakeCandidate({ held: true })
    const mirror = new Mirror(candidate, settings({ batch: 1, deadline: 60_000 }), Number.POSITIVE_INFINITY)
    const small = task(1)
    let dropped = 0
    for (let index = 0; index < 100_000; index++) {
      mirror.offer(small, { observed: () => {}, dropped: () => dropped++, notSampled: () => {} })
    }
    expect(dropped).toBeGreaterThan(50_000)
    expect(mirror.inFlight).toBeLessThan(50_000)
  })
})

describe('a largest rate', () => {
  it('leaves requests out as not sampled, which is no drop, before they are queued', async () => {
    const candidate = new FakeCandidate({ concurrency: 10 })
    const mirror = new Mirror(candidate, settings({ max: 50, batch: 1 }), 1e9)
    const list: End[] = []
    // 10 s at 200 a second.
    for (let tick = 0; tick < 2000; tick++) {
      list.push(offer(mirror, task(1)))
      mirror.pump()
      await vi.advanceTimersByTimeAsync(5)
    }
    const { observed, notSampled, dropped } = ends(list)
    expect(dropped).toBe(0)
    expect(observed + notSampled).toBe(2000)
    expect(observed).toBeGreaterThanOrEqual(450)
    expect(observed).toBeLessThanOrEqual(600)
  })

  it('below one a second lets one through now and then', async () => {
    const candidate = new FakeCandidate()
    const mirror = new Mirror(candidate, settings({ max: 0.5, batch: 1 }), 1e9)
    const list: End[] = []
    for (let second = 0; second < 60; second++) {
      list.push(offer(mirror, task(1)))
      mirror.pump()
      await vi.advanceTimersByTimeAsync(1_000)
    }
    expect(ends(list).observed).toBeGreaterThanOrEqual(29)
    expect(ends(list).observed).toBeLessThanOrEqual(32)
  })
})

describe('a candidate that gets on badly with batches', () => {
  it('and does not keep rows apart is asked for each request alone, now and from then on', async () => {
    const candidate = new FakeCandidate()
    candidate.answer = () => ok([{ name: 'sum', datatype: 'FP32', shape: [1, 1], data: Float32Array.of(7) }])
    const mirror = new Mirror(candidate, settings({ batch: 3 }), 1e6)
    const list = [1, 2, 3].map(value => offer(mirror, task(value)))
    mirror.pump()
    await vi.advanceTimersByTimeAsync(10)
    expect(candidate.calls).toEqual([3, 1, 1, 1])
    expect(ends(list)).toMatchObject({ observed: 3, open: 0 })
    expect(list.every(({ observation }) => observation!.outcome.ok && !observation!.batched)).toBe(true)
    for (const value of [4, 5, 6]) offer(mirror, task(value))
    mirror.pump()
    await vi.advanceTimersByTimeAsync(10)
    expect(candidate.calls).toEqual([3, 1, 1, 1, 1, 1, 1])
  })

  it('and refuses one for a single bad request answers the others', async () => {
    const candidate = new FakeCandidate()
    candidate.answer = inputs =>
      [...(inputs[0]!.data as Float32Array)].includes(13) ? failure('BAD_TENSOR') : ok(inputs)
    const mirror = new Mirror(candidate, settings({ batch: 3 }), 1e6)
    const list = [12, 13, 14].map(value => offer(mirror, task(value)))
    mirror.pump()
    await vi.advanceTimersByTimeAsync(10)
    expect(list.map(({ observation }) => observation!.outcome.ok)).toEqual([true, false, true])
  })

  it('and is too slow for one, or not ready, has failed each of its requests: none is sent twice', async () => {
    for (const code of ['VERSION_DEADLINE', 'VERSION_NOT_READY'] as const) {
      const candidate = new FakeCandidate()
      candidate.answer = () => failure(code)
      const mirror = new Mirror(candidate, settings({ batch: 3 }), 1e6)
      const list = [1, 2, 3].map(value => offer(mirror, task(value)))
      mirror.pump()
      await vi.advanceTimersByTimeAsync(10)
      expect(candidate.calls).toEqual([3])
      expect(list.map(({ observation }) => !observation!.outcome.ok && observation!.outcome.code)).toEqual([
        code,
        code,
        code,
      ])
    }
  })

  it('cannot be given a request that is no V2 request: it counts as refused, and the queue goes on', async () => {
    const candidate = new FakeCandidate()
    const mirror = new Mirror(candidate, settings({ batch: 2, wait: 0 }), 1e6)
    const list = [task(1, { body: 'not json' }), task(2)].map(each => offer(mirror, each))
    mirror.pump()
    await vi.advanceTimersByTimeAsync(10)
    expect(list.map(({ observation }) => observation!.outcome.ok)).toEqual([false, true])
  })

  it('gets a request as its client sent it where it speaks HTTP and the request goes alone', async () => {
    const candidate = new FakeCandidate({ raw: true })
    const mirror = new Mirror(candidate, settings({ unbatched: 100 }), 1e6)
    const end = offer(mirror, task(1))
    mirror.pump()
    await settle()
    expect(end.observation?.outcome.ok).toBe(true)
  })
})

describe('closing', () => {
  it('sends what waits, then closes the candidate, once', async () => {
    const candidate = new FakeCandidate({ held: true })
    const mirror = new Mirror(candidate, settings({ batch: 1 }), 1e6)
    const list = [1, 2, 3].map(value => offer(mirror, task(value)))
    mirror.pump()
    const closed = mirror.close()
    await settle()
    expect(candidate.closed).toBe(0)
    candidate.release(true)
    await vi.advanceTimersByTimeAsync(100)
    await closed
    expect(ends(list).observed).toBe(3)
    expect(candidate.closed).toBe(1)
  })

  it('with a candidate that hangs ends by the deadline of what waits and the end of what is under way', async () => {
    const candidate = new FakeCandidate({ held: true })
    const mirror = new Mirror(candidate, settings({ batch: 1, deadline: 500 }), 1e6)
    const list = [1, 2, 3].map(value => offer(mirror, task(value)))
    mirror.pump()
    const closed = mirror.close()
    await vi.advanceTimersByTimeAsync(1_000)
    candidate.release(true)
    await vi.advanceTimersByTimeAsync(1_000)
    await closed
    expect(ends(list).open).toBe(0)
    expect(candidate.closed).toBe(1)
  })
})

describe('a candidate that gives no answer', () => {
  /** Fails in the same way until it is mended. */
  class Silent implements Candidate {
    readonly concurrency = 4
    readonly sendRaw = undefined
    readonly code: FailureCode
    tookMs: number
    asked = 0
    mended = false
    constructor(code: FailureCode, tookMs = 0) {
      this.code = code
      this.tookMs = tookMs
    }
    requestFor(asked: Task): InferRequest | undefined {
      return asked.request
    }
    async score(requests: readonly MirroredRequest[]): Promise<ScoreOutcome> {
      const { inputs } = joined(requests as InferRequest[])
      this.asked++
      if (this.mended) return ok(inputs)
      if (this.tookMs > 0) await new Promise(resolve => setTimeout(resolve, this.tookMs))
      return failure(this.code)
    }
    async close(): Promise<void> {}
  }

  async function send(mirror: Mirror, count: number): Promise<End[]> {
    const ends = Array.from({ length: count }, (_, index) => offer(mirror, task(index)))
    mirror.pump()
    await vi.advanceTimersByTimeAsync(10)
    return ends
  }

  it.each<FailureCode>(['VERSION_DEADLINE', 'VERSION_UNREACHABLE', 'ANSWER_TOO_LARGE'])(
    'is asked one request at a time and not often, drops the others at once, and has all again when it is back: %s',
    async code => {
      const candidate = new Silent(code)
      const mirror = new Mirror(candidate, settings({ batch: 1 }), 1e9)
      const first = await send(mirror, 100)
      expect(candidate.asked).toBeLessThan(20)
      expect(first.filter(({ dropped }) => dropped === 'stalled')).toHaveLength(100 - candidate.asked)
      const asked = candidate.asked
      const soon = await send(mirror, 50)
      expect(candidate.asked).toBe(asked)
      expect(soon.filter(({ dropped }) => dropped === 'stalled')).toHaveLength(50)
      await vi.advanceTimersByTimeAsync(100)
      const probe = await send(mirror, 50)
      expect(candidate.asked).toBe(asked + 1)
      expect(probe.filter(({ dropped }) => dropped === 'stalled')).toHaveLength(49)
      candidate.mended = true
      await vi.advanceTimersByTimeAsync(200)
      await send(mirror, 1)
      const after = await send(mirror, 20)
      expect(after.every(({ observation }) => observation?.outcome.ok)).toBe(true)
    },
  )

  it('is asked less and less often, up to once a second, and from the beginning when it falls silent again', async () => {
    const candidate = new Silent('VERSION_UNREACHABLE')
    const mirror = new Mirror(candidate, settings({ batch: 1 }), 1e9)
    /** Asks for one request every 10 ms. @returns the pauses between those that were sent, ms */
    const pauses = async (milliseconds: number) => {
      const found: number[] = []
      let pause = 0
      for (let passed = 0; passed < milliseconds; passed += 10) {
        const { asked } = candidate
        await send(mirror, 1)
        if (candidate.asked > asked) {
          found.push(pause)
          pause = 0
        }
        pause += 10
      }
      return found
    }
    await send(mirror, 50)
    expect(await pauses(4_000)).toEqual([90, 200, 400, 800, 1_000, 1_000])
    candidate.mended = true
    await pauses(1_000)
    candidate.mended = false
    await send(mirror, 50)
    expect(await pauses(800)).toEqual([90, 200, 400])
  })

  it('tells while whatever is offered would be dropped, from any revision to the next', async () => {
    const candidate = new Silent('VERSION_DEADLINE', 50)
    const mirror = new Mirror(candidate, settings({ batch: 1 }), 1e9)
    const words = [0, 1].map(() => new SharedArrayBuffer(4))
    const isTold = (word = 1) => new Int32Array(words[word]!)[0] !== 0
    new Int32Array(words[0]!)[0] = 1
    mirror.tell(words[0])
    expect(isTold(0), 'whatever a thread left there that died').toBe(false)
    await send(mirror, 4)
    expect(isTold(0), 'it may yet answer').toBe(false)
    await send(mirror, 40)
    await vi.advanceTimersByTimeAsync(1_000)
    await send(mirror, 1)
    expect(isTold(0), 'while a probe is under way').toBe(true)
    mirror.tell(words[1])
    expect(isTold(), 'of a revision that comes meanwhile').toBe(true)
    expect(isTold(0), 'of the one before: nobody says any more when that is over').toBe(false)
    await vi.advanceTimersByTimeAsync(100)
    expect(isTold(), 'in the pause after a probe').toBe(true)
    await vi.advanceTimersByTimeAsync(200)
    expect(isTold(), 'when the next probe is due').toBe(false)
    candidate.mended = true
    await send(mirror, 1)
    expect(isTold()).toBe(false)
    const after = await send(mirror, 20)
    expect(after.every(({ observation }) => observation?.outcome.ok)).toBe(true)
  })

  it('is not probed while something is under way, but a pause after that ended', async () => {
    const candidate = new Silent('VERSION_DEADLINE', 5)
    const mirror = new Mirror(candidate, settings({ batch: 1 }), 1e9)
    const word = new SharedArrayBuffer(4)
    const isTold = () => new Int32Array(word)[0] !== 0
    mirror.tell(word)
    await send(mirror, 4)
    await send(mirror, 3)
    candidate.tookMs = 300
    await send(mirror, 1)
    candidate.tookMs = 5
    await send(mirror, 1)
    expect(isTold()).toBe(true)
    await vi.advanceTimersByTimeAsync(200)
    expect(isTold(), 'one has not ended').toBe(true)
    await vi.advanceTimersByTimeAsync(130)
    expect(isTold(), 'it just did').toBe(true)
    await vi.advanceTimersByTimeAsync(80)
    expect(isTold()).toBe(false)
  })

  it('is probed again where a probe waited past its deadline, and was never sent', async () => {
    const candidate = new Silent('VERSION_UNREACHABLE')
    const mirror = new Mirror(candidate, settings({ batch: 1, deadline: 1_000 }), 1e9)
    const word = new SharedArrayBuffer(4)
    mirror.tell(word)
    await send(mirror, 20)
    await vi.advanceTimersByTimeAsync(500)
    const { asked } = candidate
    const probe = offer(mirror, task(0))
    expect(new Int32Array(word)[0]).toBe(1)
    // As when the whole thread stood still.
    await vi.advanceTimersByTimeAsync(2_000)
    mirror.pump()
    expect(probe.dropped).toBe('expired')
    expect(new Int32Array(word)[0]).toBe(0)
    await send(mirror, 1)
    expect(candidate.asked).toBe(asked + 1)
  })

  it('is probed at once, and does not wait for others to fill a batch', async () => {
    const candidate = new Silent('VERSION_UNREACHABLE')
    const mirror = new Mirror(candidate, settings({ batch: 8, wait: 2_000, deadline: 1_000 }), 1e9)
    for (let round = 0; round < 10; round++) await send(mirror, 8)
    await vi.advanceTimersByTimeAsync(500)
    const { asked } = candidate
    await send(mirror, 1)
    expect(candidate.asked).toBe(asked + 1)
  })

  it('is asked for everything where it answers, even if only with failures', async () => {
    const candidate = new Silent('VERSION_FAILED')
    const ends = await send(new Mirror(candidate, settings({ batch: 1 }), 1e9), 100)
    expect(candidate.asked).toBe(100)
    expect(ends.filter(({ dropped }) => dropped !== undefined)).toEqual([])
  })

  it('to a batch is asked for each of its requests alone, all at once: no one waits for the deadlines of the others', async () => {
    const candidate = new Silent('VERSION_BROKE_OFF', 400)
    const mirror = new Mirror(candidate, settings({ batch: 32, deadline: 1_000 }), 1e9)
    const ends = await send(mirror, 32)
    await vi.advanceTimersByTimeAsync(900)
    expect(candidate.asked).toBe(1 + 32)
    expect(ends.every(({ observation }) => observation?.batched === false && !observation.outcome.ok)).toBe(true)
  })
})
