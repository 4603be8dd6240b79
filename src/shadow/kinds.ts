// What is remarkable about a finished request. Pure.
import type { CompareResult, Kept } from '../telemetry/keep.ts'
import type { Task } from './task.ts'

/**
 * `failed`: its client got no prediction. `shadow failed`: a pair could not be compared, whoever's fault that was.
 * `sampled`: its spans are among the share of all.
 */
export type Kind = 'failed' | 'shadow failed' | 'different' | 'slow' | 'sampled' | 'ordinary'

const ORDINARY: readonly Kind[] = ['ordinary']

/**
 * All kinds that it is of, the rarest first. Pairs that were dropped make it none: a shadow that hangs drops everything.
 * @param slowMs from which on an answer counts as slow
 * @param kept why its spans were kept; undefined: they were not
 */
export function kindsOf(
  { record, servedOk }: Pick<Task, 'record' | 'servedOk'>,
  results: readonly CompareResult[],
  slowMs: number,
  kept: Kept | undefined,
): readonly Kind[] {
  const kinds: Kind[] = []
  if (!servedOk) kinds.push('failed')
  if (record.durationMs >= slowMs) kinds.push('slow')
  if (kept?.reason === 'head') kinds.push('sampled')
  if (results.some(isFailure)) kinds.push('shadow failed')
  if (results.includes('mismatch')) kinds.push('different')
  return kinds.length === 0 ? ORDINARY : kinds
}

function isFailure(result: CompareResult): boolean {
  return result !== 'match' && result !== 'mismatch' && result !== 'dropped'
}
