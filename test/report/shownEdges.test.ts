import { describe, expect, it } from 'vitest'
import { LARGEST_LATENCY_BIN, LARGEST_MAGNITUDE_BIN, magnitudeEdge, upperMs } from '../../src/evidence/histogram.ts'
import { shownLatencyEdge, shownMagnitudeEdge } from '../../src/report/shownEdges.ts'

describe('the edge of a bin in a report', () => {
  it('has six digits of the exact one, also when it is asked for again', () => {
    for (const [shown, edgeOf, most] of [
      [shownLatencyEdge, upperMs, LARGEST_LATENCY_BIN - 1],
      [shownMagnitudeEdge, magnitudeEdge, LARGEST_MAGNITUDE_BIN],
    ] as const) {
      for (let bin = 0; bin <= most; bin++) {
        const edge = Number(edgeOf(bin).toPrecision(6))
        expect([shown(bin), shown(bin)]).toEqual([edge, edge])
      }
    }
  })

  it('is 0 where two answers are the same, and null where a latency has no bound', () => {
    expect(shownMagnitudeEdge(0)).toBe(0)
    expect([shownLatencyEdge(LARGEST_LATENCY_BIN), shownLatencyEdge(LARGEST_LATENCY_BIN)]).toEqual([null, null])
  })
})
