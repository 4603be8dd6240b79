import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { diffText, editRoute, entryReader, entryText } from '../../src/config/edit.ts'

const FLOW = `# who serves
routes:
  m:
    live: 1.0.0   # the lead
    versions:
      1.0.0: { onnx: m/1.0.0, weight: 95 } # ninety-five
      1.1.0: { onnx: m/1.1.0,  weight: 5 }
`
const BLOCK = `routes:
  m:
    live: '1.0.0'
    versions:
      # the lead
      1.0.0:
        onnx: m/1.0.0
        weight: 95   # most
      1.1.0:
        onnx: m/1.1.0  # no weight yet

    expect: change
`

describe('editing a route', () => {
  test('of a text that is not YAML, or has no such route or version, is refused', () => {
    expect(() => editRoute('a: [', 'm', { live: '1.0.0' })).toThrow(/not YAML/)
    expect(() => editRoute('', 'm', { live: '1.0.0' })).toThrow(/no route m/)
    expect(() => editRoute(FLOW, 'other', { live: '1.0.0' })).toThrow(/no route other/)
    expect(() => editRoute(FLOW, 'm', { weights: { '3.0.0': 1 } })).toThrow(/no version 3.0.0/)
  })

  test('without changes gives the very text', () => {
    expect(editRoute(FLOW, 'm', {})).toBe(FLOW)
    expect(editRoute(FLOW, 'm', { live: '1.0.0', weights: { '1.0.0': 95 } })).toBe(FLOW)
  })

  test('changes scalars of flow maps and leaves every other character', () => {
    expect(editRoute(FLOW, 'm', { live: '1.1.0', weights: { '1.0.0': 0, '1.1.0': 100 } })).toBe(
      FLOW.replace('live: 1.0.0', 'live: 1.1.0').replace('95 }', '0 }').replace('5 }\n', '100 }\n'),
    )
  })

  test('keeps quotes, and inserts a missing weight behind the comment of the last line', () => {
    expect(editRoute(BLOCK, 'm', { live: '1.1.0', weights: { '1.0.0': 75, '1.1.0': 25 } })).toBe(
      BLOCK.replace("'1.0.0'", "'1.1.0'").replace('95   #', '75   #').replace('yet\n', 'yet\n        weight: 25\n'),
    )
  })

  test('inserts a missing weight into flow maps, empty ones and ones with a trailing comma too', () => {
    const text = 'routes: { m: { live: 1.0.0, versions: { 1.0.0: {}, 1.1.0: { onnx: a, }, 1.2.0: { onnx: b } } } }\n'
    expect(editRoute(text, 'm', { weights: { '1.0.0': 1, '1.1.0': 2, '1.2.0': 3 } })).toBe(
      'routes: { m: { live: 1.0.0, versions: { 1.0.0: { weight: 1 }, 1.1.0: { onnx: a, weight: 2, }, 1.2.0: { onnx: b, weight: 3 } } } }\n',
    )
  })

  test('inserts into a map that ends in a block scalar, an empty value or without a line end', () => {
    const ends = [
      'identity: |\n          a\n          b\n',
      'sticky:\n',
      'onnx: m/1',
      'url:\n          - http://a\n          - http://b # two\n',
    ]
    for (const end of ends) {
      const text = `routes:\n  m:\n    live: 1.0.0\n    versions:\n      1.0.0:\n        ${end}`
      expect(parse(editRoute(text, 'm', { weights: { '1.0.0': 7 } })).routes.m.versions['1.0.0'].weight).toBe(7)
    }
  })

  test('fills an empty weight', () => {
    const text = 'routes:\n  m:\n    live:\n    versions:\n      1.0.0:\n        weight:\n        onnx: a\n'
    expect(editRoute(text, 'm', { live: '1.0.0', weights: { '1.0.0': 7 } })).toBe(
      text.replace('live:', 'live: 1.0.0').replace('weight:', 'weight: 7'),
    )
  })

  test('keeps Windows line ends and a byte order mark', () => {
    const text = `\uFEFF${BLOCK.replaceAll('\n', '\r\n')}`
    const edited = editRoute(text, 'm', { weights: { '1.1.0': 25 }, entries: { '2.0.0': 'onnx: m/2\nweight: 0' } })
    expect(edited.replaceAll('\r\n', '')).not.toMatch(/[\r\n]/)
    expect(edited.startsWith('\uFEFF')).toBe(true)
    expect(edited).toContain('      2.0.0:\r\n        onnx: m/2\r\n        weight: 0\r\n')
  })

  test('replaces an env reference by the number', () => {
    const text = FLOW.replace('weight: 95', 'weight: "${' + 'env:W}"')
    expect(editRoute(text, 'm', { weights: { '1.0.0': 90 } })).toBe(FLOW.replace('95 }', '90 }'))
  })

  test('puts a deleted version back, comments inside it included', () => {
    const entry = entryText(BLOCK, 'm', '1.0.0')!
    expect(entry).toBe('onnx: m/1.0.0\nweight: 95   # most')
    const without = BLOCK.replace(/ {6}1\.0\.0:\n.*\n.*\n/, '')
    expect(editRoute(without, 'm', { entries: { '1.0.0': entry }, weights: { '1.0.0': 100 } })).toBe(
      without.replace(
        '# no weight yet\n',
        '# no weight yet\n      1.0.0:\n        onnx: m/1.0.0\n        weight: 100   # most\n',
      ),
    )
    expect(editRoute(FLOW, 'm', { entries: { '0.9.0': '{ onnx: m/0.9.0 }' } })).toBe(
      `${FLOW}      0.9.0: { onnx: m/0.9.0 }\n`,
    )
  })

  test('replaces an entry in place, whichever of the two is block or flow', () => {
    for (const text of [FLOW, BLOCK])
      for (const entry of ['{ onnx: other, weight: 3 }', 'onnx: other # why\nweight: 3\nurl:\n  - a\n  - b']) {
        const edited = editRoute(text, 'm', { entries: { '1.0.0': entry } })
        expect(parse(edited).routes.m.versions['1.0.0']).toEqual(parse(entry))
        expect(parse(edited).routes.m.versions['1.1.0']).toEqual(parse(text).routes.m.versions['1.1.0'])
      }
  })

  test('refuses to change an anchored value that others use, and aliases it cannot see behind', () => {
    const shared =
      'routes:\n  m: &m\n    live: &v 1.0.0\n    versions:\n      1.0.0: &e { onnx: a, weight: &w 50 }\n      1.1.0: { onnx: b, weight: *w }\n      1.2.0: *e\n'
    expect(() => editRoute(shared, 'm', { weights: { '1.0.0': 40 } })).toThrow(/by hand/)
    expect(() => editRoute(shared, 'm', { weights: { '1.2.0': 40 } })).toThrow(/by hand/)
    expect(editRoute(shared, 'm', { weights: { '1.1.0': 40 } })).toBe(shared.replace('*w', '40'))
    expect(entryText(shared, 'm', '1.2.0')).toBe('{ onnx: a, weight: 50 }')
    expect(entryText(shared, 'm', '1.1.0')).toBe('{ onnx: b, weight: 50 }')
    expect(entryText(shared, 'm', '9.0.0')).toBeUndefined()
  })

  test('reads the entries of thousands of routes from one parse, and a text only when it is asked', () => {
    const names = Array.from({ length: 3_000 }, (_, index) => `m${index}`)
    const text = `routes:\n${names.map(name => `  ${name}: { versions: { 1.0.0: { onnx: ${name}, weight: 100 } } }\n`).join('')}`
    const entryAt = entryReader(text)
    const startedAt = performance.now()
    expect(names.map(name => entryAt(name, '1.0.0'))).toEqual(names.map(name => `{ onnx: ${name}, weight: 100 }`))
    // Parsed for each it takes minutes.
    expect(performance.now() - startedAt).toBeLessThan(10_000)
    expect(() => entryReader('# no routes')).not.toThrow()
    expect(() => entryReader('# no routes')('m', '1.0.0')).toThrow('routes')
  })
})

// Random layouts of one configuration: block or flow, quotes, comments, line ends, weights there or not.
const layout = fc.record({
  flow: fc.array(fc.boolean(), { minLength: 4, maxLength: 4 }),
  weights: fc.array(fc.option(fc.integer({ min: 0, max: 100 })), { minLength: 4, maxLength: 4 }),
  quote: fc.constantFrom('', '"', "'"),
  comment: fc.constantFrom('', ' # a comment: { with, braces', '   #'),
  blank: fc.constantFrom('', '\n', '\n# between: 5\n'),
  eol: fc.constantFrom('\n', '\r\n'),
  indent: fc.constantFrom(1, 2, 4),
})
const VERSIONS = ['1.0.0', '1.1.0', '1.2.0-rc.1+cpu', '2.0.0']

function write(shape: typeof layout extends fc.Arbitrary<infer T> ? T : never): string {
  const { quote, comment, blank, indent } = shape
  const pad = (depth: number) => ' '.repeat(depth * indent)
  const versions = VERSIONS.map((version, at) => {
    const weight = shape.weights[at]
    const key = `${pad(3)}${quote}${version}${quote}:`
    if (shape.flow[at])
      return `${key} { onnx: "m/${version}"${weight === null ? '' : `, weight: ${weight}`} }${comment}\n`
    const lines = [
      `onnx: m/${version}${comment}`,
      ...(weight === null ? [] : [`weight: ${weight}${comment}`]),
      `mirrorable: true${comment}`,
    ]
    return `${key}${comment}\n${lines.map(line => pad(4) + line).join('\n')}\n${blank}`
  })
  const text = `routes:${comment}\n${pad(1)}m:\n${pad(2)}live: ${quote}1.0.0${quote}${comment}\n${blank}${pad(2)}versions:\n${versions.join('')}${pad(2)}expect: same\n${pad(1)}other:\n${pad(2)}live: 1.0.0\n`
  return text.replaceAll('\n', shape.eol)
}

test('over any layout only the touched scalars change: every line without one is there, in order', () => {
  fc.assert(
    fc.property(
      layout,
      fc.dictionary(fc.constantFrom(...VERSIONS), fc.integer({ min: 0, max: 100 })),
      (shape, weights) => {
        const text = write(shape)
        const edited = editRoute(text, 'm', { live: '2.0.0', weights })
        const blanked = (source: string) =>
          source
            .split(shape.eol)
            .filter(line => !/^\s*weight: \d+$/.test(line))
            .map(line => line.replace(/,? ?weight: \d+/, '').replace(/live: (["']?)[^"' ]*\1/, 'live'))
            .map(line => line.replace(/weight: \d+/, ''))
        const plain = (source: string) => blanked(source).map(line => line.replace(/\s*#.*$/, '').trim())
        expect(plain(edited).filter(line => line !== '')).toEqual(plain(text).filter(line => line !== ''))
        expect((edited.match(/#/g) ?? []).length).toBe((text.match(/#/g) ?? []).length)
        for (const [version, weight] of Object.entries(weights))
          expect(parse(edited).routes.m.versions[version].weight).toBe(weight)
        expect(editRoute(edited, 'm', { live: '2.0.0', weights })).toBe(edited)
      },
    ),
    { numRuns: 300 },
  )
})

test('going there and back gives the same text where every key was there', () => {
  fc.assert(
    fc.property(layout, fc.integer({ min: 0, max: 100 }), (shape, weight) => {
      const text = write({ ...shape, weights: [10, 20, 30, 40] })
      const there = editRoute(text, 'm', { live: '1.1.0', weights: { '1.0.0': weight } })
      expect(editRoute(there, 'm', { live: '1.0.0', weights: { '1.0.0': 10 } })).toBe(text)
    }),
  )
})

test('an entry taken out and put back is the same entry', () => {
  fc.assert(
    fc.property(layout, fc.constantFrom(...VERSIONS), (shape, version) => {
      const text = write(shape)
      const entry = entryText(text, 'm', version)!
      expect(parse(entry)).toEqual(parse(text).routes.m.versions[version])
      const moved = editRoute(text, 'm', { entries: { '9.9.9': entry } })
      expect(parse(moved).routes.m.versions['9.9.9']).toEqual(parse(entry))
    }),
  )
})

describe('a diff', () => {
  test('is empty when nothing differs, else unified', () => {
    expect(diffText(FLOW, FLOW)).toBe('')
    expect(diffText(FLOW, editRoute(FLOW, 'm', { live: '1.1.0' }))).toContain(
      '-    live: 1.0.0   # the lead\n+    live: 1.1.0   # the lead\n',
    )
  })
})
