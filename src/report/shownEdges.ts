// Edges of bins as a report shows them: six digits, far more than a bin of 2 % needs, and less JSON than all.
import { magnitudeEdge, upperMs } from '../evidence/histogram.ts'

/** Upper edge of a latency bin, ms; null: it is open. */
export const shownLatencyEdge: (bin: number) => number | null = shown(upperMs, edge =>
  Number.isFinite(edge) ? sixDigits(edge) : null,
)

/** Upper edge of a bin of |differences|. */
export const shownMagnitudeEdge: (bin: number) => number = shown(magnitudeEdge, sixDigits)

/** Kept, since rounding takes longer than all else of a report. */
function shown<Shown extends number | null>(edgeOf: (bin: number) => number, show: (edge: number) => Shown) {
  const edges: (Shown | undefined)[] = []
  return (bin: number): Shown => (edges[bin] ??= show(edgeOf(bin)))
}

function sixDigits(edge: number): number {
  return Number(edge.toPrecision(6))
}
