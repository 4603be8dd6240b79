import { describe, expect, it, vi } from 'vitest'
import { LabelJoin, type LabelRoute, parseLabels, pendingScope } from '../../src/evidence/labels.ts'
import { openMemoryStore } from '../../src/state/memory.ts'

const DAY = 86_400_000
const risk: LabelRoute = {
  spec: { loss: 'brier', clip: 1 },
  within: DAY,
  affectedByAnswer: false,
  candidates: ['2.0.0'],
  isPresent: () => true,
}
const routes = (candidates: readonly string[] = ['2.0.0'], rest: Partial<LabelRoute> = {}) =>
  new Map<string, LabelRoute>([['risk', { ...risk, candidates, ...rest }]])
const none = { joined: 0, waiting: 0, unusable: 0, late: 0, repeated: 0 }
const prediction = (
  id: string,
  { version = '2.0.0', at = 1_000, b = 0.5, c = 0.9, key = 'key', s = [] as string[] } = {},
) => ({
  scope: pendingScope('risk', version),
  id,
  at,
  body: JSON.stringify({ key, b, c, s }),
})

function open() {
  const store = openMemoryStore()
  const join = new LabelJoin(store)
  const commit = () => {
    const { counters, resolved } = join.take()
    store.commit({ resolved })
    join.kept()
    return counters
  }
  const total = (counters: ReturnType<typeof commit>, key = 'key') =>
    [...(counters.get(key) ?? [])].filter(([slot]) => !slot.includes('@')).reduce((sum, [, n]) => sum + n, 0)
  return { store, join, commit, total }
}

describe('a label', () => {
  it('of a waiting prediction is joined once, before and after the commit', () => {
    const { store, join, commit, total } = open()
    store.commit({ pending: [prediction('a')] })
    expect(join.submit([{ request_id: 'a', label: 1 }], routes(), 2_000)).toEqual({ ...none, joined: 1 })
    expect(join.submit([{ request_id: 'a', label: 1 }], routes(), 2_000)).toEqual({ ...none, repeated: 1 })
    expect(total(commit())).toBe(1)
    expect(join.submit([{ request_id: 'a', label: 0 }], routes(), 2_000).joined).toBe(0)
    expect(total(commit())).toBe(0)
  })

  it('that comes twice in one batch is joined once', () => {
    const { store, join, commit, total } = open()
    store.commit({ pending: [prediction('a')] })
    join.submit(
      [
        { request_id: 'a', label: 1 },
        { request_id: 'a', label: 0 },
      ],
      routes(),
      2_000,
    )
    expect(total(commit())).toBe(1)
  })

  it('that comes first is joined when its prediction arrives, once', () => {
    const { store, join, commit, total } = open()
    expect(join.submit([{ request_id: 'a', label: 1 }], routes(), 0)).toEqual({ ...none, waiting: 1 })
    const pending = [prediction('a')]
    store.commit({ pending })
    join.arrived(pending, routes())
    join.arrived(pending, routes())
    expect(total(commit())).toBe(1)
    join.arrived(pending, routes())
    expect(total(commit())).toBe(0)
  })

  it('counts for every candidate of its request, also for one that is slower', () => {
    const { store, join, commit, total } = open()
    store.commit({ pending: [prediction('a', { version: '2.0.0', key: 'two' })] })
    join.submit([{ request_id: 'a', label: 1 }], routes(['2.0.0', '3.0.0']), 2_000)
    const late = [prediction('a', { version: '3.0.0', key: 'three' })]
    store.commit({ pending: late })
    join.arrived(late, routes(['2.0.0', '3.0.0']))
    const counters = commit()
    expect([total(counters, 'two'), total(counters, 'three')]).toEqual([1, 1])
  })

  it('that is later than `within` counts for nothing', () => {
    const { store, join, commit, total } = open()
    store.commit({ pending: [prediction('a', { at: 1_000 })] })
    expect(join.submit([{ request_id: 'a', label: 1 }], routes(), 1_001 + DAY)).toEqual({ ...none, late: 1 })
    expect(join.counts('risk')).toEqual({ waiting: 0, joined: 0, unmatched: 0, late: 1 })
    expect(total(commit())).toBe(0)
  })

  it('that came in time is joined even when its prediction is kept after `within`', () => {
    const { store, join, commit, total } = open()
    join.submit([{ request_id: 'a', label: 1 }], routes(undefined, { within: 100 }), 1_050)
    const pending = [prediction('a', { at: 1_000 })]
    store.commit({ pending })
    join.arrived(pending, routes(undefined, { within: 100 }))
    expect(total(commit())).toBe(1)
  })

  it('stays when another one of the same request follows, also while it waits', () => {
    const { store, join, commit } = open()
    const submit = (label: number) => join.submit([{ request_id: 'a', label }], routes(), 2_000)
    expect(submit(1)).toEqual({ ...none, waiting: 1 })
    expect(submit(0)).toEqual({ ...none, repeated: 1 })
    const pending = [prediction('a', { b: 0.5, c: 1 })]
    store.commit({ pending })
    join.arrived(pending, routes())
    // Of label 1 the candidate is the better: (1 − 1)² − (0.5 − 1)².
    expect(Number([...commit().get('key')!.keys()][0]!.replace('loss.', ''))).toBeLessThan(0)
  })

  it('that proves useless when its prediction comes makes room for a right one', () => {
    const { store, join, commit, total } = open()
    join.submit([{ request_id: 'a', label: 'yes' }], routes(), 2_000)
    const pending = [prediction('a')]
    store.commit({ pending })
    join.arrived(pending, routes())
    expect(join.counts('risk')).toEqual({ waiting: 0, joined: 0, unmatched: 0, late: 0 })
    expect(join.submit([{ request_id: 'a', label: 1 }], routes(), 2_000).joined).toBe(1)
    expect(total(commit())).toBe(1)
  })

  it('is not counted under a key of other settings, whose losses are of another kind', () => {
    const { store, join, commit } = open()
    store.commit({ pending: [prediction('a', { key: 'old' })] })
    const present = routes(undefined, { isPresent: key => key !== 'old' })
    expect(join.submit([{ request_id: 'a', label: 1 }], present, 2_000)).toEqual({ ...none, waiting: 1 })
    expect(commit().size).toBe(0)
  })

  it('that the loss cannot use leaves the prediction waiting for a right one', () => {
    const { store, join, commit, total } = open()
    store.commit({ pending: [prediction('a')] })
    expect(join.submit([{ request_id: 'a', label: 'yes' }], routes(), 2_000)).toEqual({ ...none, unusable: 1 })
    expect(join.submit([{ request_id: 'a', label: 1 }], routes(), 2_000).joined).toBe(1)
    expect(total(commit())).toBe(1)
  })

  it('counts in the segments of its request too', () => {
    const { store, join, commit } = open()
    store.commit({ pending: [prediction('a', { s: ['origin=JFK'] })] })
    join.submit([{ request_id: 'a', label: 1 }], routes(), 2_000)
    expect([...commit().get('key')!.keys()].some(slot => slot.endsWith('@origin=JFK'))).toBe(true)
  })

  it('for another route is not joined', () => {
    const { store, join } = open()
    store.commit({ pending: [prediction('a')] })
    expect(join.submit([{ request_id: 'a', label: 1, route: 'other' }], routes(), 2_000).joined).toBe(0)
    expect(join.submit([{ request_id: 'a', label: 1, route: 'risk' }], routes(), 2_000).joined).toBe(1)
  })

  it('that nobody waits for takes bounded memory', () => {
    const { join } = open()
    for (let round = 0; round < 30; round++) {
      join.submit(
        Array.from({ length: 10_000 }, (_, index) => ({ request_id: `${round}-${index}`, label: 1 })),
        routes(),
        0,
      )
    }
    expect(join.counts('risk')).toEqual({ waiting: 100_000, joined: 0, unmatched: 200_000, late: 0 })
  })

  it('is not counted for a second prediction under the same request id', () => {
    const { store, join, commit, total } = open()
    store.commit({ pending: [prediction('a')] })
    join.submit([{ request_id: 'a', label: 1 }], routes(), 2_000)
    expect(total(commit())).toBe(1)
    const again = [prediction('a', { at: 3_000 })]
    store.commit({ pending: again })
    join.arrived(again, routes())
    join.submit([{ request_id: 'a', label: 1 }], routes(), 3_000)
    expect(total(commit())).toBe(0)
  })

  it('whose commit failed is in the next one, once, with those that came meanwhile', () => {
    const { store, join, commit, total } = open()
    store.commit({ pending: [prediction('a'), prediction('b')] })
    join.submit([{ request_id: 'a', label: 1 }], routes(), 2_000)
    // Taken, and the store fails: nobody says `kept`.
    expect(total(join.take().counters)).toBe(1)
    join.submit([{ request_id: 'a', label: 1 }], routes(), 2_000)
    join.submit([{ request_id: 'b', label: 1 }], routes(), 2_000)
    expect(join.take().resolved.map(({ id }) => id)).toEqual(['a', 'b'])
    expect(total(commit())).toBe(2)
    expect(total(commit())).toBe(0)
  })

  it('waits while it has joined nothing, and is unmatched when that was for too long', () => {
    vi.useFakeTimers()
    vi.advanceTimersByTime(1)
    const outcomes: string[] = []
    const store = openMemoryStore()
    const join = new LabelJoin(store, undefined, (route, outcome) => outcomes.push(`${route} ${outcome}`))
    const submit = (request_id: string) => join.submit([{ request_id, label: 1 }], routes(), 2_000)
    submit('never')
    submit('never')
    submit('soon')
    expect(join.counts('risk')).toEqual({ waiting: 2, joined: 0, unmatched: 0, late: 0 })
    const soon = [prediction('soon')]
    store.commit({ pending: soon })
    join.arrived(soon, routes())
    expect(join.counts('risk')).toEqual({ waiting: 1, joined: 1, unmatched: 0, late: 0 })
    vi.advanceTimersByTime(121_000)
    join.purge()
    expect(join.counts('risk')).toEqual({ waiting: 0, joined: 1, unmatched: 1, late: 0 })
    expect(outcomes).toEqual(['risk repeated', 'risk joined', 'risk unmatched'])
    vi.useRealTimers()
  })
})

describe('a body of labels', () => {
  const read = (text: string) => parseLabels(Buffer.from(text))

  it('is one, an array, or an object that holds them', () => {
    const entry = { request_id: 'a', label: 1 }
    expect(read(JSON.stringify(entry))).toEqual([entry])
    expect(read(JSON.stringify([entry]))).toEqual([entry])
    expect(read(JSON.stringify({ labels: [entry] }))).toEqual([entry])
    expect(read('[]')).toEqual([])
  })

  it.each([
    '',
    '{',
    'null',
    '1',
    '"a"',
    '{}',
    '[[]]',
    '[null]',
    '{"labels":{}}',
    '{"request_id":1,"label":1}',
    '{"request_id":"a","label":[1]}',
  ])('that is %j is refused', text => {
    expect(() => read(text)).toThrow()
  })
})
