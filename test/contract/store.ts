// What every state store must do, whatever it keeps things in.
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { StateStore } from '../../src/state/store.ts'

/** Runs the contract against stores that `open` makes, each call a new and empty one. */
export function describeStore(name: string, open: () => StateStore): void {
  describe(`the state store contract: ${name}`, () => {
    let store: StateStore
    beforeEach(() => {
      store = open()
    })
    afterEach(() => store.close())

    it('is empty at first', () => {
      expect(store.counters('')).toEqual(new Map())
      expect(store.value('salt')).toBeUndefined()
      expect(store.values('')).toEqual(new Map())
      expect(store.pending('r', '1')).toBeUndefined()
      expect(store.due('r', 1e12, 10)).toEqual([])
      expect(store.waiting('r')).toEqual({ count: 0, oldest: undefined })
      expect(store.scopes()).toEqual([])
      expect(store.expire('r', 1e12, 0)).toEqual({ late: 0, beyond: 0 })
      expect(store.log()).toEqual([])
      expect(store.log('r')).toEqual([])
    })

    it('takes an empty batch', () => {
      store.commit({})
      store.commit({ counters: [], pending: [], labelled: [], resolved: [], values: [] })
      expect(store.counters('')).toEqual(new Map())
    })

    it('adds amounts up, within a batch and over batches', () => {
      store.commit({
        counters: [
          { key: 'a', slot: 'pair.match', amount: 2 },
          { key: 'a', slot: 'pair.match', amount: 3 },
          { key: 'a', slot: 'pair.mismatch', amount: 1 },
        ],
      })
      store.commit({ counters: [{ key: 'a', slot: 'pair.match', amount: 5 }] })
      expect(store.counters('a')).toEqual(
        new Map([
          [
            'a',
            new Map([
              ['pair.match', 10],
              ['pair.mismatch', 1],
            ]),
          ],
        ]),
      )
    })

    it('keeps an amount above 2^32 exact', () => {
      store.commit({ counters: [{ key: 'a', slot: 's', amount: 2 ** 52 }] })
      store.commit({ counters: [{ key: 'a', slot: 's', amount: 1 }] })
      expect(store.counters('').get('a')?.get('s')).toBe(2 ** 52 + 1)
    })

    it('finds keys by their prefix and no others, with characters that a pattern would treat specially', () => {
      const keys = ['flight%', 'flight%/1', 'flights', 'flight_', 'Flight%', 'ü/1', 'ü/\u{1F600}']
      store.commit({
        counters: keys.map(key => ({ key, slot: 's', amount: 1 })),
        values: keys.map(key => ({ key, value: key })),
      })
      expect([...store.counters('flight%').keys()].sort()).toEqual(['flight%', 'flight%/1'])
      expect([...store.counters('ü').keys()].sort()).toEqual(['ü/1', 'ü/\u{1F600}'])
      expect([...store.counters('').keys()]).toHaveLength(keys.length)
      expect([...store.values('flight%')]).toEqual([
        ['flight%', 'flight%'],
        ['flight%/1', 'flight%/1'],
      ])
    })

    it('hands out counters that are the caller’s own', () => {
      store.commit({ counters: [{ key: 'a', slot: 's', amount: 1 }] })
      store.counters('a').get('a')?.set('s', 99)
      expect(store.counters('a').get('a')?.get('s')).toBe(1)
    })

    it('keeps the newest value of a key, and sorts values by key', () => {
      store.commit({
        values: [
          { key: 'b', value: '1' },
          { key: 'a', value: '1' },
          { key: '\u{FFFD}', value: '1' },
          { key: '\u{1F600}', value: '1' },
        ],
      })
      store.commit({ values: [{ key: 'b', value: 'two\n\0"\'ü' }] })
      expect(store.value('b')).toBe('two\n\0"\'ü')
      expect([...store.values('').keys()]).toEqual(['a', 'b', '\u{FFFD}', '\u{1F600}'])
    })

    it('leaves a pending prediction as it was when its id comes again', () => {
      store.commit({ pending: [{ scope: 'r', id: '1', at: 10, body: 'first' }] })
      store.commit({ pending: [{ scope: 'r', id: '1', at: 20, body: 'second' }] })
      expect(store.pending('r', '1')).toEqual({ scope: 'r', id: '1', at: 10, body: 'first' })
      expect(store.pending('q', '1')).toBeUndefined()
    })

    it('forgets a prediction that was resolved, of its own scope only', () => {
      store.commit({
        pending: [
          { scope: 'r', id: '1', at: 10, body: 'r' },
          { scope: 'q', id: '1', at: 10, body: 'q' },
        ],
      })
      store.commit({
        resolved: [
          { scope: 'r', id: '1' },
          { scope: 'r', id: 'unknown' },
        ],
      })
      expect(store.pending('r', '1')).toBeUndefined()
      expect(store.pending('q', '1')?.body).toBe('q')
    })

    it('resolves a prediction of the same batch', () => {
      store.commit({ pending: [{ scope: 'r', id: '1', at: 10, body: '' }], resolved: [{ scope: 'r', id: '1' }] })
      expect(store.pending('r', '1')).toBeUndefined()
    })

    it('remembers the first label of a prediction, of its own scope only, and passes over an unknown one', () => {
      store.commit({ pending: [{ scope: 'r', id: '1', at: 10, body: 'b' }] })
      expect(store.pending('r', '1')).toEqual({ scope: 'r', id: '1', at: 10, body: 'b' })
      store.commit({
        labelled: [
          { scope: 'r', id: '1', label: '0.25' },
          { scope: 'r', id: '1', label: '1' },
          { scope: 'r', id: 'unknown', label: '1' },
          { scope: 'q', id: '1', label: '1' },
        ],
      })
      store.commit({ labelled: [{ scope: 'r', id: '1', label: '0' }] })
      store.commit({ pending: [{ scope: 'r', id: '1', at: 11, body: 'again' }] })
      const labelled = { scope: 'r', id: '1', at: 10, body: 'b', label: '0.25' }
      expect(store.pending('r', '1')).toEqual(labelled)
      expect(store.due('r', 11, 5)).toEqual([labelled])
      expect(store.pending('r', 'unknown')).toBeUndefined()
      expect(store.pending('q', '1')).toBeUndefined()
    })

    it('labels a prediction of the same batch, and removes a labelled one', () => {
      const one = { scope: 'r', id: '1' }
      store.commit({ pending: [{ ...one, at: 1, body: '' }], labelled: [{ ...one, label: 'x' }] })
      expect(store.pending('r', '1')?.label).toBe('x')
      store.commit({ labelled: [{ ...one, label: 'y' }], resolved: [one] })
      expect(store.pending('r', '1')).toBeUndefined()
      store.commit({ pending: [{ ...one, at: 2, body: '' }] })
      expect(store.pending('r', '1')?.label).toBeUndefined()
    })

    it('finds what is due by whole moments, the oldest first, and leaves it there', () => {
      const at = [30, 10, 20, 10, 20, 40]
      store.commit({ pending: at.map((at, index) => ({ scope: 'r', id: String(index), at, body: '' })) })
      store.commit({ pending: [{ scope: 'q', id: 'q', at: 1, body: '' }] })
      const due = (before: number, limit: number) => store.due('r', before, limit).map(({ id }) => id)
      expect(due(10, 9)).toEqual([])
      expect(due(40, 9)).toEqual(['1', '3', '2', '4', '0'])
      expect(due(1e12, 6)).toEqual(['1', '3', '2', '4', '0', '5'])
      expect(due(40, 4)).toEqual(['1', '3', '2', '4'])
      expect(due(40, 3)).toEqual(['1', '3'])
      expect(due(40, 2)).toEqual(['1', '3'])
      // A moment that is larger than the limit is never cut in two.
      expect(due(40, 1)).toEqual(['1', '3'])
      expect(due(20, 1)).toEqual(['1', '3'])
      store.commit({ resolved: [{ scope: 'r', id: '1' }] })
      expect(due(40, 1)).toEqual(['3'])
    })

    it('tells how many wait, since when, and in which scopes', () => {
      store.commit({
        pending: [
          { scope: 'r', id: '1', at: 30, body: '' },
          { scope: 'r', id: '2', at: 20, body: '' },
          { scope: 'r/@arms', id: '1', at: 5, body: '' },
          { scope: '\u{1F600}', id: '1', at: 5, body: '' },
          { scope: '\u{FFFD}', id: '1', at: 5, body: '' },
        ],
      })
      expect(store.waiting('r')).toEqual({ count: 2, oldest: 20 })
      expect(store.scopes()).toEqual(['r', 'r/@arms', '\u{FFFD}', '\u{1F600}'])
      store.commit({ resolved: [{ scope: 'r', id: '2' }] })
      expect(store.waiting('r')).toEqual({ count: 1, oldest: 30 })
      store.expire('r', 1e12, 0)
      expect(store.waiting('r')).toEqual({ count: 0, oldest: undefined })
      expect(store.scopes()).not.toContain('r')
    })

    it('expires what is too old, then what is beyond the newest, and tells how many', () => {
      const at = [5, 30, 10, 20, 20]
      store.commit({ pending: at.map((at, index) => ({ scope: 'r', id: String(index), at, body: '' })) })
      store.commit({ pending: [{ scope: 'q', id: '0', at: 1, body: '' }] })
      expect(store.expire('r', 10, 10)).toEqual({ late: 1, beyond: 0 })
      expect(store.expire('r', 10, 2)).toEqual({ late: 0, beyond: 2 })
      expect(['0', '1', '2', '3', '4'].filter(id => store.pending('r', id))).toEqual(['1', '4'])
      expect(store.pending('q', '0')).toBeDefined()
      expect(store.expire('r', 0, 0)).toEqual({ late: 0, beyond: 2 })
    })

    it('chains log entries, each on the newest of its scope', () => {
      const first = store.append('r', 0, 100, '{"to":"1.1.0"}')
      const other = store.append('q', 0, 101, 'q')
      const second = store.append('r', first.sequence, 99, 'second')
      expect(first).toEqual({ sequence: first.sequence, base: 0, scope: 'r', at: 100, body: '{"to":"1.1.0"}' })
      expect(first.sequence).toBeGreaterThan(0)
      expect(other.sequence).toBeGreaterThan(first.sequence)
      expect(second.sequence).toBeGreaterThan(other.sequence)
      expect(store.log('r')).toEqual([first, second])
      expect(store.log()).toEqual([first, other, second])
    })

    it.each([
      ['an older entry', 0],
      ['an entry that is not there', 99],
    ])('refuses a log entry based on %s and writes nothing', (_, base) => {
      const first = store.append('r', 0, 1, 'first')
      expect(() => store.append('r', base, 2, 'late')).toThrow(expect.objectContaining({ code: 'CONFLICT' }))
      expect(store.log('r')).toEqual([first])
    })

    it('keeps log entries that are appended together, or none of them', () => {
      const [one, two] = store.together(() => {
        const first = store.append('r', 0, 1, 'first')
        return [first, store.append('r', first.sequence, 2, `after ${store.log('r').length}`)] as const
      })
      expect(store.log()).toEqual([one, { ...two, body: 'after 1' }])
      const fails = () =>
        store.together(() => {
          store.append('r', two.sequence, 3, 'third')
          store.append('q', 0, 3, 'other')
          store.append('r', 0, 4, 'late')
        })
      expect(fails).toThrow(expect.objectContaining({ code: 'CONFLICT' }))
      expect(store.log()).toEqual([one, two])
      const next = store.append('r', two.sequence, 5, 'next')
      expect(store.log('r')).toEqual([one, two, next])
      expect(store.log('q')).toEqual([])
    })

    it.each([
      ['half an amount', { counters: [{ key: 'a', slot: 't', amount: 0.5 }] }],
      ['an amount that is no number', { counters: [{ key: 'a', slot: 't', amount: Number.NaN }] }],
      ['half an amount for a counter that is there', { counters: [{ key: 'a', slot: 's', amount: 0.5 }] }],
      ['a time that is not whole', { pending: [{ scope: 'r', id: '1', at: 1.5, body: '' }] }],
    ])('keeps nothing of a batch with %s, and works on', (_, bad) => {
      const due = { scope: 'r', id: 'due', at: 1, body: '' }
      store.commit({ counters: [{ key: 'a', slot: 's', amount: 1 }], pending: [due] })
      const batch = {
        ...bad,
        labelled: [{ scope: 'r', id: 'due', label: '1' }],
        resolved: [{ scope: 'r', id: 'due' }],
        counters: [{ key: 'a', slot: 's', amount: 7 }, ...('counters' in bad ? bad.counters : [])],
      }
      expect(() => store.commit(batch)).toThrow(expect.objectContaining({ code: 'STATE_FAILED' }))
      expect(store.counters('a')).toEqual(new Map([['a', new Map([['s', 1]])]]))
      // A row that is counted is removed in the same transaction, or it would be counted twice.
      expect(store.pending('r', 'due')).toEqual(due)
      store.commit({ counters: [{ key: 'a', slot: 's', amount: 1 }] })
      expect(store.counters('a').get('a')?.get('s')).toBe(2)
    })

    it('fails with STATE_FAILED once closed, and may be closed twice', () => {
      store.close()
      store.close()
      const failed = expect.objectContaining({ code: 'STATE_FAILED' })
      expect(() => store.commit({})).toThrow(failed)
      expect(() => store.value('a')).toThrow(failed)
      expect(() => store.due('r', 1, 1)).toThrow(failed)
      expect(() => store.waiting('r')).toThrow(failed)
      expect(() => store.scopes()).toThrow(failed)
      expect(() => store.append('r', 0, 1, '')).toThrow(failed)
    })
  })
}
