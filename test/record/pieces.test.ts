import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { NO_PIECES, Pieces } from '../../src/record/pieces.ts'

const bodies = fc.array(
  fc.uint8Array({ maxLength: 20 }).map(bytes => Buffer.from(bytes)),
  { maxLength: 6 },
)

describe('a body in pieces', () => {
  it('is as long as its pieces together, and whole it is one after another (property)', () => {
    fc.assert(
      fc.property(bodies, pieces => {
        const body = new Pieces(pieces)
        expect(body.length).toBe(body.whole.length)
        expect([...body.whole]).toEqual(pieces.flatMap(piece => [...piece]))
      }),
      { seed: 1 },
    )
  })

  it('is copied to a place and touches nothing beside it (property)', () => {
    fc.assert(
      fc.property(bodies, fc.nat(9), (pieces, at) => {
        const body = new Pieces(pieces)
        const bytes = Buffer.alloc(at + body.length + 3, 7)
        body.copyTo(bytes, at)
        expect([...bytes]).toEqual([...Buffer.alloc(at, 7), ...body.whole, 7, 7, 7])
      }),
      { seed: 2 },
    )
  })

  it('is joined once, and not at all where it came in one piece', () => {
    const only = Buffer.from('only')
    expect(new Pieces([only]).whole).toBe(only)
    const two = new Pieces([only, only])
    expect(two.whole).toBe(two.whole)
  })

  it('is written in its long pieces, and in one where they are short', () => {
    const long = [Buffer.alloc(65_000), Buffer.alloc(500)]
    expect(new Pieces(long).writes).toBe(long)
    const short = Array.from({ length: 40_000 }, () => Buffer.from('x'))
    expect(new Pieces(short).writes.map(({ length }) => length)).toEqual([40_000])
    expect(new Pieces([...long, ...short]).writes).toHaveLength(1)
    expect(NO_PIECES.writes).toHaveLength(0)
  })

  it('of other memory shares it', () => {
    const bytes = new Uint8Array([1, 2, 3, 4]).subarray(1, 3)
    const body = Pieces.of(bytes)
    bytes[0] = 9
    expect([...body.whole]).toEqual([9, 3])
  })

  it('may be empty', () => {
    expect(NO_PIECES.length).toBe(0)
    expect(NO_PIECES.whole.length).toBe(0)
  })
})
