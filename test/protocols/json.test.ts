import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { nestsDeeperThan, parseJson } from '../../src/protocols/json.ts'

const bytes = (text: string) => Buffer.from(text)

describe('JSON of a stranger', () => {
  it('is counted to its depth outside of strings alone (property)', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 8 }), fc.integer({ min: 0, max: 10 }), (value, max) => {
        const depthOf = (each: unknown): number =>
          typeof each === 'object' && each !== null ? 1 + Math.max(0, ...Object.values(each).map(depthOf)) : 0
        expect(nestsDeeperThan(bytes(JSON.stringify(value)), max)).toBe(depthOf(value) > max)
      }),
      { seed: 29, numRuns: 500 },
    )
  })

  it.each(['"[[[["', '"\\"[[[["', '"\\\\"', '{"a":"}}}}[[[["}'])('does not count brackets in the string %s', text => {
    expect(nestsDeeperThan(bytes(text), 1)).toBe(false)
  })

  it('of exactly the deepest nesting is read, one deeper is not', () => {
    expect(parseJson(bytes(`${'['.repeat(64)}${']'.repeat(64)}`), 64)).toBeDefined()
    expect(() => parseJson(bytes(`${'['.repeat(65)}${']'.repeat(65)}`), 64)).toThrow(/64/)
  })

  it('keeps __proto__ as an own key and touches no prototype', () => {
    const value = parseJson(bytes('{"__proto__":{"polluted":true}}'), 64) as object
    expect(Object.hasOwn(value, '__proto__')).toBe(true)
    expect(({} as { polluted?: boolean }).polluted).toBeUndefined()
  })
})
