import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { askedAt, KnownAddresses } from '../../src/serving/path.ts'

describe('addresses that are remembered', () => {
  const name = fc.constantFrom('a', 'b', 'a%2Fb', '%', '', 'x'.repeat(300))
  const address = fc.oneof(
    fc.tuple(name, name).map(([model, query]) => `/v2/models/${model}/infer${query && `?${query}`}`),
    name.map(model => `/v1/models/${model}:predict`),
    fc.webPath(),
  )

  it.each([2, 4, 1_024])('say what they would say unremembered, in %i places', places => {
    fc.assert(
      fc.property(fc.array(address, { maxLength: 40 }), addresses => {
        const known = new KnownAddresses(places)
        for (const each of addresses) expect(known.askedAt(each)).toEqual(askedAt(each))
      }),
    )
  })

  it('are read once, until two others come to their places, and those of a long query each time', () => {
    const known = new KnownAddresses(2)
    const first = known.askedAt('/v2/models/a/infer')
    expect(known.askedAt('/v2/models/a/infer')).toBe(first)
    const long = `/v2/models/a/infer?${'q'.repeat(300)}`
    expect(known.askedAt(long)).not.toBe(known.askedAt(long))
    expect(known.askedAt('/v2/models/a/ready')).toBeUndefined()
    expect(known.askedAt('/v2/models/a/infer'), 'what asks for no prediction takes no place').toBe(first)
    const second = known.askedAt('/v2/models/b/infer')
    expect([known.askedAt('/v2/models/a/infer'), known.askedAt('/v2/models/b/infer')]).toEqual([first, second])
    expect(known.askedAt('/v2/models/a/infer')).toBe(first)
    expect(known.askedAt('/v2/models/b/infer')).toBe(second)
    known.askedAt('/v2/models/c/infer')
    expect(known.askedAt('/v2/models/a/infer')).not.toBe(first)
  })

  it('are nearly all read once where ten thousand routes are asked in turn', () => {
    const known = new KnownAddresses()
    const addresses = Array.from({ length: 10_000 }, (_, index) => `/v2/models/m${index}/infer`)
    const read = addresses.map(each => known.askedAt(each))
    const again = addresses.filter((each, index) => known.askedAt(each) !== read[index])
    expect(again.length).toBeLessThan(500)
  })
})
