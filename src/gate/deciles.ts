// Reads the joint decile counts of both sides' scores. Judges nothing.
export const DECILES = 10

/** Counts `joint[i][j]` of slots `score.<i>.<j>`: the baseline's score in its decile i, the candidate's in j. */
export function jointDeciles(counters: { get(slot: string): number | undefined }): number[][] {
  return Array.from({ length: DECILES }, (_, i) =>
    Array.from({ length: DECILES }, (_, j) => counters.get(`score.${i}.${j}`) ?? 0),
  )
}
