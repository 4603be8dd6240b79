import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Arm, assign, assignDrawn, drawsOf, sampled, uniform } from '../../src/routing/assign.ts'
import { draw } from '../../src/routing/draw.ts'

const salt = 'a salt of this test'
const units = Array.from({ length: 100_000 }, (_, index) => `user-${index}`)

function shares(arms: readonly Arm[], over: readonly string[] = units, key = salt): Map<string, number> {
  const counts = new Map<string, number>()
  for (const unit of over) {
    const version = assign(key, unit, arms)!
    counts.set(version, (counts.get(version) ?? 0) + 1)
  }
  return counts
}

describe('degenerate arms', () => {
  it('nobody answers when there is no arm, or none with weight', () => {
    expect(assign(salt, 'a', [])).toBeUndefined()
    expect(assign(salt, 'a', [{ version: '1.0.0', weight: 0 }])).toBeUndefined()
  })

  it('the only arm with weight answers everybody', () => {
    const arms = [
      { version: '1.0.0', weight: 0 },
      { version: '2.0.0', weight: 0.001 },
      { version: '3.0.0', weight: 0 },
    ]
    for (const unit of units.slice(0, 1000)) expect(assign(salt, unit, arms)).toBe('2.0.0')
  })

  it('an arm of weight 0 or less never answers', () => {
    const arms = [
      { version: '1.0.0', weight: 50 },
      { version: '2.0.0', weight: 50 },
      { version: '3.0.0', weight: 0 },
      { version: '4.0.0', weight: -5 },
    ]
    expect([...shares(arms).keys()].sort()).toEqual(['1.0.0', '2.0.0'])
  })

  it('an empty unit, a very long one and one of strange characters are assigned like any other', () => {
    const arms = [
      { version: '1.0.0', weight: 50 },
      { version: '2.0.0', weight: 50 },
    ]
    for (const unit of ['', '\0', 'x'.repeat(100_000), '\u{1F600}', '\ud800', '__proto__']) {
      expect(assign(salt, unit, arms)).toBe(assign(salt, unit, arms))
      expect(['1.0.0', '2.0.0']).toContain(assign(salt, unit, arms))
    }
  })
})

it('the draws of a unit say who wins: the least, among those with weight', () => {
  const arms = fc.array(fc.integer({ min: -1, max: 50 }), { maxLength: 6 })
  fc.assert(
    fc.property(arms, fc.string(), fc.string(), (weights, salt, unit) => {
      const list = weights.map((weight, index) => ({ version: `${index}.0.0`, weight }))
      const draws = drawsOf(salt, unit, list)
      expect(draws.map(({ version }) => version)).toEqual(
        list.filter(({ weight }) => weight > 0).map(arm => arm.version),
      )
      expect(draws.toSorted((a, b) => a.draw - b.draw)[0]?.version).toBe(assign(salt, unit, list))
    }),
  )
})

describe('shares', () => {
  it.each<[string, Record<string, number>]>([
    ['half and half', { '1.0.0': 50, '2.0.0': 50 }],
    ['a canary of 5 percent', { '1.0.0': 95, '2.0.0': 5 }],
    ['a canary of 0.1 percent', { '1.0.0': 99.9, '2.0.0': 0.1 }],
    ['three canaries', { '1.0.0': 60, '2.0.0': 25, '3.0.0': 10, '4.0.0': 5 }],
    ['ten equal arms', Object.fromEntries(Array.from({ length: 10 }, (_, index) => [`${index}.0.0`, 10]))],
  ])('of %s are exact to 3 sigma over 100,000 assignments', (_, weights) => {
    const counts = shares(Object.entries(weights).map(([version, weight]) => ({ version, weight })))
    for (const [version, weight] of Object.entries(weights)) {
      const p = weight / 100
      const sigma = Math.sqrt(units.length * p * (1 - p))
      expect(Math.abs((counts.get(version) ?? 0) - units.length * p)).toBeLessThan(3 * sigma)
    }
  })

  it('do not depend on the order of the arms', () => {
    const arms = [
      { version: '1.0.0', weight: 70 },
      { version: '2.0.0', weight: 20 },
      { version: '3.0.0', weight: 10 },
    ]
    for (const unit of units.slice(0, 2000)) {
      expect(assign(salt, unit, arms.toReversed())).toBe(assign(salt, unit, arms))
    }
  })

  it('depend on the ratios of the weights alone', () => {
    const arms = (factor: number) => [
      { version: '1.0.0', weight: 90 * factor },
      { version: '2.0.0', weight: 10 * factor },
    ]
    for (const unit of units.slice(0, 2000)) expect(assign(salt, unit, arms(0.01))).toBe(assign(salt, unit, arms(1)))
  })

  it('are drawn anew by another salt', () => {
    const arms = [
      { version: '1.0.0', weight: 50 },
      { version: '2.0.0', weight: 50 },
    ]
    const same = units.slice(0, 10_000).filter(unit => assign('one', unit, arms) === assign('two', unit, arms)).length
    // Binomial(10,000, ½): sigma is 50.
    expect(Math.abs(same - 5000)).toBeLessThan(200)
  })
})

describe('growing and shrinking', () => {
  const versions = ['1.0.0', '2.0.0', '3.0.0', '4.0.0', '5.0.0']
  const weights = fc.array(fc.integer({ min: 0, max: 100 }), { minLength: 2, maxLength: 5 })

  it('raising one version moves units onto it and nobody between the others', () => {
    fc.assert(
      fc.property(weights, fc.nat(), fc.integer({ min: 1, max: 100 }), fc.string(), (list, at, more, key) => {
        const raised = at % list.length
        const before = list.map((weight, index) => ({ version: versions[index]!, weight }))
        const after = before.map((arm, index) => (index === raised ? { ...arm, weight: arm.weight + more } : arm))
        for (let index = 0; index < 200; index++) {
          const was = assign(key, `u${index}`, before)
          const is = assign(key, `u${index}`, after)
          if (is !== was) expect(is).toBe(versions[raised])
        }
      }),
      { seed: 7, numRuns: 100 },
    )
  })

  it('growing one of several canaries at the cost of live moves nobody off that canary', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1, maxLength: 4 }),
        fc.nat(),
        fc.integer({ min: 1, max: 15 }),
        (canaries, at, more) => {
          const grown = at % canaries.length
          const arms = (list: readonly number[]) => [
            { version: 'live', weight: 100 - list.reduce((a, b) => a + b, 0) },
            ...list.map((weight, index) => ({ version: `canary-${index}`, weight })),
          ]
          const before = arms(canaries)
          const after = arms(canaries.map((weight, index) => (index === grown ? weight + more : weight)))
          for (let index = 0; index < 300; index++) {
            const was = assign(salt, `u${index}`, before)!
            const is = assign(salt, `u${index}`, after)!
            if (was === `canary-${grown}`) expect(is).toBe(was)
          }
        },
      ),
      { seed: 11, numRuns: 100 },
    )
  })

  it('keeps every canary unit on the canary when its weight grows from 5 through 25 and 50 to 100', () => {
    let onCanary = new Set<string>()
    for (const weight of [5, 25, 50, 100]) {
      const arms = [
        { version: '1.0.0', weight: 100 - weight },
        { version: '2.0.0', weight },
      ]
      const now = new Set(units.slice(0, 20_000).filter(unit => assign(salt, unit, arms) === '2.0.0'))
      for (const unit of onCanary) expect(now.has(unit)).toBe(true)
      onCanary = now
    }
    expect(onCanary.size).toBe(20_000)
  })
})

describe('the mirror sample', () => {
  it('holds its percent to 3 sigma, all at 100 and none at 0', () => {
    for (const percent of [0.5, 10, 50, 99]) {
      const count = units.filter(unit => sampled('mirror', unit, percent)).length
      const p = percent / 100
      expect(Math.abs(count - units.length * p)).toBeLessThan(3 * Math.sqrt(units.length * p * (1 - p)))
    }
    expect(units.every(unit => sampled('mirror', unit, 100))).toBe(true)
    expect(units.some(unit => sampled('mirror', unit, 0))).toBe(false)
  })

  it('of more percent holds every unit of a smaller one', () => {
    for (const unit of units.slice(0, 20_000)) {
      if (sampled('mirror', unit, 10)) expect(sampled('mirror', unit, 11)).toBe(true)
    }
  })

  it('is independent of the split when their salts differ', () => {
    const arms = [
      { version: '1.0.0', weight: 70 },
      { version: '2.0.0', weight: 30 },
    ]
    const table = [
      [0, 0],
      [0, 0],
    ]
    for (const unit of units) {
      const row = assign('split', unit, arms) === '2.0.0' ? 1 : 0
      const column = sampled('mirror', unit, 40) ? 1 : 0
      table[row]![column]!++
    }
    const total = units.length
    let chiSquare = 0
    for (const row of [0, 1]) {
      for (const column of [0, 1]) {
        const rowSum = table[row]![0]! + table[row]![1]!
        const columnSum = table[0]![column]! + table[1]![column]!
        const expected = (rowSum * columnSum) / total
        chiSquare += (table[row]![column]! - expected) ** 2 / expected
      }
    }
    // One degree of freedom: 10.83 is passed once in a thousand tables. The units and salts are fixed.
    expect(chiSquare).toBeLessThan(10.83)
  })
})

describe('the number of a unit', () => {
  it('lies in [0, 1) and is spread evenly over a hundred bins', () => {
    const bins = new Array<number>(100).fill(0)
    for (const unit of units) {
      const u = uniform(salt, unit)
      expect(u).toBeGreaterThanOrEqual(0)
      expect(u).toBeLessThan(1)
      bins[Math.floor(u * 100)]!++
    }
    const chiSquare = bins.reduce((sum, count) => sum + (count - 1000) ** 2 / 1000, 0)
    // 99 degrees of freedom: the 99.9th percentile is 148.2.
    expect(chiSquare).toBeLessThan(148.2)
  })

  it('keeps salt and unit apart: moving a character from one to the other changes it', () => {
    expect(uniform('ab', 'c')).not.toBe(uniform('a', 'bc'))
  })
})

describe('a request without a unit', () => {
  const arms = [
    { version: '1.0.0', weight: 60 },
    { version: '2.0.0', weight: 0 },
    { version: '3.0.0', weight: 30 },
  ]

  it('gets the arm that its number falls into, each as wide as its weight', () => {
    expect([0, 0.3, 0.6666, 0.6667, 0.9, 1 - 2 ** -48].map(drawn => assignDrawn(drawn, arms))).toEqual([
      '1.0.0',
      '1.0.0',
      '1.0.0',
      '3.0.0',
      '3.0.0',
      '3.0.0',
    ])
  })

  it('gets no arm without weight, whatever the number and however many arms (property)', () => {
    const anyArms = fc.array(fc.double({ min: -1, max: 100, noNaN: true }), { maxLength: 6 })
    fc.assert(
      fc.property(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), anyArms, (drawn, weights) => {
        const all = weights.map((weight, index) => ({ version: String(index), weight }))
        const version = assignDrawn(drawn, all)
        if (weights.every(weight => weight <= 0)) expect(version).toBeUndefined()
        else expect(all.find(arm => arm.version === version)!.weight).toBeGreaterThan(0)
      }),
      { seed: 11 },
    )
  })

  it('is drawn in the shares of the weights: within five standard deviations of 90 to 10', () => {
    const n = 200_000
    let canary = 0
    for (let index = 0; index < n; index++)
      if (
        assignDrawn(draw(), [
          { version: 'canary', weight: 10 },
          { version: 'live', weight: 90 },
        ]) === 'canary'
      )
        canary++
    expect(Math.abs(canary - n * 0.1)).toBeLessThan(5 * Math.sqrt(n * 0.1 * 0.9))
  })

  it('is drawn in [0, 1), over all of it', () => {
    const drawn = Array.from({ length: 5_000 }, draw)
    expect(drawn.every(value => value >= 0 && value < 1)).toBe(true)
    expect(Math.min(...drawn)).toBeLessThan(0.01)
    expect(Math.max(...drawn)).toBeGreaterThan(0.99)
    expect(new Set(drawn).size).toBe(5_000)
  })
})
