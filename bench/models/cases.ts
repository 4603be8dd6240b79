// What is proved about the shipped models: which version must be caught and by what, which one must climb. Data only.

/** One shipped model with its truth in traffic.csv. */
export interface ModelCase {
  readonly name: string
  /** Last column of traffic.csv: what came true. */
  readonly truth: string
  /** Input tensors: columns of their own, or a vector of all columns `name[i]`. */
  readonly vector?: string
  readonly textColumns: readonly string[]
  /** What is really at fault in 1.1.0, by how the model was made (models/README.md). */
  readonly fault: { readonly metric: string; readonly segment?: string }
}

export const LIVE = '1.0.0'
export const WORSE = '1.1.0'
export const BETTER = '2.0.0'

export const CASES: readonly ModelCase[] = [
  {
    name: 'flight-delay',
    truth: 'late',
    textColumns: ['origin', 'carrier', 'dest'],
    fault: { metric: 'labels', segment: 'origin=EWR' },
  },
  {
    name: 'digits',
    truth: 'digit',
    vector: 'pixels',
    textColumns: [],
    fault: { metric: 'labels', segment: 'answer.label=8' },
  },
  { name: 'tumour-risk', truth: 'malignant', vector: 'features', textColumns: [], fault: { metric: 'labels' } },
]
