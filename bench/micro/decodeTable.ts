// The form of bench/results/decode.json, and its table for README. Pure.
import { table } from '../load/table.ts'

export interface DecodeResults {
  readonly benchmark: 'decode'
  readonly date: string
  readonly machine: {
    readonly cpu: string
    readonly cores: number
    readonly system: string
    readonly loadBefore: number
    readonly loadAfter: number
  }
  readonly node: string
  readonly commit: string
  readonly target: { readonly name: string; readonly ms: number; readonly verdict: 'met' | 'missed' }
  readonly figures: readonly {
    readonly name: string
    readonly bytes: number
    readonly repetitions: number
    readonly ms: { readonly lower: number; readonly median: number; readonly upper: number }
  }[]
}

export function renderDecode({ machine, target, figures, ...results }: DecodeResults): string {
  const round = (value: number) => Number(value.toPrecision(3))
  return `${table(
    ['V2 body', 'bytes', 'µs, median (quarters)'],
    figures.map(({ name, bytes, ms }) => [
      name,
      bytes.toLocaleString('en'),
      `${round(ms.median * 1000)} (${round(ms.lower * 1000)}–${round(ms.upper * 1000)})`,
    ]),
  )}

Target: ${target.name} in ${target.ms} ms, ${target.verdict}. ${machine.cpu}, ${machine.cores} cores, load ${machine.loadBefore.toFixed(1)} before, Node ${results.node}, commit
${results.commit}, ${results.date.slice(0, 10)}.
`
}
