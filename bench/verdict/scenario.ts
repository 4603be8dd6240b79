// What a scenario of the benchmark is: cells of settings, runs of each, and the rows that come of them. Measures nothing.
import type { Row } from './results.ts'

export type Size = 'quick' | 'medium' | 'full'

/** `Part` is plain data: it crosses threads. */
export interface Scenario<Part = unknown> {
  /** For `--only` and for the seeds. */
  readonly name: string
  readonly title: string
  readonly about: string
  /** Settings that are measured apart; a run knows its cell and its number and nothing else. */
  readonly cells: number
  runs(cell: number, size: Size): number
  /** Runs `from` to `to` − 1 of a cell, each from its own seed, so that the split into parts changes nothing. */
  measure(cell: number, from: number, to: number): Part
  /** `parts[cell]`: its parts in order of their runs. */
  rows(parts: readonly (readonly Part[])[]): Row[]
}

/** The master seed; every run adds its scenario, its cell and its number. */
export const SEED = 20_130_101

/** As many of `full` as the size allows. */
export function scaled(size: Size, full: number, medium: number, quick: number): number {
  return size === 'full' ? full : size === 'medium' ? medium : quick
}

/** Something that must hold whatever the figures are: the benchmark itself would be wrong. */
export class StructuralError extends Error {}

export function demand(holds: boolean, what: string): asserts holds {
  if (!holds) throw new StructuralError(what)
}
