// What spans came to under one evidence key: counters, and what is seen in passing. Counts nothing by itself. Pure.
import type { Counters } from '../evidence/counters.ts'
import type { EvidenceTerms, ToldPair, ToldRequest } from '../evidence/told.ts'
import { EPOCH_MS } from '../record/clock.ts'

export interface KeyCount {
  readonly sample: Counters
  /** Horvitz–Thompson sums of weights, and the estimates of their variance. */
  readonly weighted: Counters
  readonly variance: Counters
  /** When each segment was first seen: time of the epoch, process, number of the pair. */
  readonly sights: Map<string, Sight>
  /** First and last moment by process, ms: a gateway that did not run did not serve. */
  readonly served: Map<string, [fromMs: number, toMs: number]>
  /** Request ids whose label has counted. */
  readonly labelled: Set<string>
  terms: { readonly atMs: number; readonly terms: EvidenceTerms } | undefined
}

type Sight = readonly [atMs: number, process: string, number: number]

export function newKeyCount(): KeyCount {
  return {
    sample: new Map(),
    weighted: new Map(),
    variance: new Map(),
    sights: new Map(),
    served: new Map(),
    labelled: new Set(),
    terms: undefined,
  }
}

/** The gateway served while this request was answered. */
export function seeServed({ served }: KeyCount, { process, startMs, endMs }: ToldRequest): void {
  const known = served.get(process)
  if (known === undefined) served.set(process, [startMs, endMs])
  else {
    known[0] = Math.min(known[0], startMs)
    known[1] = Math.max(known[1], endMs)
  }
}

/** The gate gives its own slots to segments by the order of their first sight: spans come in another. */
export function seeSegments({ sights }: KeyCount, { originMs, epoch, process, number, count }: ToldPair): void {
  if (number === undefined) return
  const sight: Sight = [originMs + epoch * EPOCH_MS, process, number]
  for (const segment of count.segments) {
    const before = sights.get(segment)
    if (before === undefined || compareSights(sight, before) < 0) sights.set(segment, sight)
  }
}

export function segmentsInOrder({ sights }: KeyCount): string[] {
  return [...sights].sort(([, a], [, b]) => compareSights(a, b)).map(([segment]) => segment)
}

function compareSights(a: Sight, b: Sight): number {
  return a[0] - b[0] || (a[1] < b[1] ? -1 : a[1] > b[1] ? 1 : 0) || a[2] - b[2]
}
