import { describe, expect, it } from 'vitest'
import { parseExposition } from './exposition.ts'
import { parseOpenMetrics } from './openMetricsText.ts'
import { HAS_PROMTOOL, promtool } from './promtool.ts'

const family = (name: string, type: string, samples: string, help = 'Something.') =>
  `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${samples}\n`

/** Faults that `promtool check metrics` knows too. */
const LINTED: readonly (readonly [string, string])[] = [
  ['a counter without _total', family('requests', 'counter', 'requests 1')],
  ['a gauge with _total', family('requests_total', 'gauge', 'requests_total 1')],
  ['no help', '# TYPE requests_total counter\nrequests_total 1\n'],
  ['milliseconds', family('wait_milliseconds', 'gauge', 'wait_milliseconds 1')],
  ['an abbreviated unit', family('wait_ms', 'gauge', 'wait_ms 1')],
  ['a type in the name', family('wait_gauge', 'gauge', 'wait_gauge 1')],
  ['a histogram’s suffix on a gauge', family('wait_sum', 'gauge', 'wait_sum 1')],
  ['a histogram’s label on a gauge', family('wait_seconds', 'gauge', 'wait_seconds{le="1"} 1')],
  ['camel case in a name', family('waitSeconds', 'gauge', 'waitSeconds 1')],
  ['camel case in a label', family('wait_seconds', 'gauge', 'wait_seconds{routeName="a"} 1')],
]

describe('our own check of a metrics text', () => {
  it.each(LINTED)('finds %s', (_, text) => {
    expect(parseExposition(text).problems).not.toEqual([])
  })

  it.skipIf(!HAS_PROMTOOL).each(LINTED)('finds %s where promtool does', async (_, text) => {
    const { status, output } = await promtool(['check', 'metrics'], text)
    expect(status).not.toBe(0)
    expect(output).not.toBe('')
  })

  it.each([
    ['a sample twice', family('a_total', 'counter', 'a_total{x="1"} 1\na_total{x="1"} 2')],
    ['no number', family('a_total', 'counter', 'a_total one')],
    ['a count below 0', family('a_total', 'counter', 'a_total -1')],
    ['a cut line', family('a_total', 'counter', 'a_total 1').slice(0, -1)],
    ['buckets that fall', family('a_seconds', 'histogram', histogram([2, 1]))],
    ['a count that is not +Inf’s', family('a_seconds', 'histogram', histogram([1, 2], 3))],
    ['a sum outside the buckets', family('a_seconds', 'histogram', histogram([1, 1], 1, 5))],
  ])('finds %s', (_, text) => {
    expect(parseExposition(text).problems).not.toEqual([])
  })

  it('has nothing against a right one', () => {
    const text =
      family('a_total', 'counter', 'a_total 1') + family('b_seconds', 'histogram', histogram([1, 2], 2, 3, 'b'))
    expect(parseExposition(text).problems).toEqual([])
  })
})

const POINTER = '{trace_id="4bf92f3577b34da6a3ce929d0e0e4736",span_id="00f067aa0ba902b7"}'
const open = (samples: string, rest = '# EOF\n') =>
  `# HELP a_seconds Something.\n# TYPE a_seconds histogram\n# UNIT a_seconds seconds\n${samples}\na_seconds_sum 1.4\na_seconds_count 2\n${rest}`
const RIGHT = `a_seconds_bucket{le="1.0"} 1 # ${POINTER} 0.4 1700000000.25\na_seconds_bucket{le="+Inf"} 2`

describe('our own check of an OpenMetrics text', () => {
  it('has nothing against a right one, and reads its exemplars', () => {
    const { problems, exemplars, units } = parseOpenMetrics(open(RIGHT))
    expect(problems).toEqual([])
    expect(exemplars).toEqual([
      {
        name: 'a_seconds_bucket',
        sampleLabels: { le: '1.0' },
        labels: { trace_id: '4bf92f3577b34da6a3ce929d0e0e4736', span_id: '00f067aa0ba902b7' },
        value: 0.4,
        timestamp: 1_700_000_000.25,
      },
    ])
    expect([...units]).toEqual([['a_seconds', 'seconds']])
  })

  it.each([
    ['no end', open(RIGHT, '')],
    ['more after the end', open(RIGHT, '# EOF\n# EOF\n')],
    ['an empty line', open(`${RIGHT}\n`)],
    ['a whole bound without a fraction', open(RIGHT.replace('1.0', '1'))],
    ['an exemplar above its bucket', open(RIGHT.replace(' 0.4 ', ' 1.4 '))],
    [
      'an exemplar below its bucket',
      open(`a_seconds_bucket{le="1.0"} 1\na_seconds_bucket{le="+Inf"} 2 # ${POINTER} 0.4 1`),
    ],
    ['an exemplar beside a sum', `${open(RIGHT)}`.replace('_sum 1.4', `_sum 1.4 # ${POINTER} 0.4 1`)],
    ['an exemplar of more than 128 characters', open(RIGHT.replace('4bf9', '4bf9'.repeat(20)))],
    ['a unit that is not in the name', open(RIGHT).replace('# UNIT a_seconds seconds', '# UNIT a_seconds bytes')],
    ['a counter’s family with _total', '# HELP a_total A.\n# TYPE a_total counter\na_total_total 1\n# EOF\n'],
    ['a counter’s sample without _total', '# HELP a A.\n# TYPE a counter\na 1\n# EOF\n'],
  ])('finds %s', (_, text) => {
    expect(parseOpenMetrics(text).problems).not.toEqual([])
  })
})

/** Cumulative counts at 1 and +Inf. */
function histogram([one, all]: readonly [number, number] | number[], count = all, sum = 1.5, name = 'a'): string {
  const series = `${name}_seconds`
  return `${series}_bucket{le="1"} ${one}\n${series}_bucket{le="+Inf"} ${all}\n${series}_sum ${sum}\n${series}_count ${count}`
}
