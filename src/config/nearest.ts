// The known word that somebody meant who wrote another one. Knows no schema.
import { distance } from 'fastest-levenshtein'

/** The nearest of `known`, if it is near enough to have been meant; undefined otherwise. */
export function nearest(word: string, known: readonly string[]): string | undefined {
  const near = known
    .map(candidate => ({ candidate, far: distance(word.toLowerCase(), candidate.toLowerCase()) }))
    .sort((a, b) => a.far - b.far)[0]
  return near !== undefined && near.far <= Math.max(2, Math.floor(word.length / 3)) ? near.candidate : undefined
}
