// Which slots a map of counters has, sorted and taken apart once for as long as its names stay. Knows no amount.
import { type Counters, splitSlot } from '../evidence/counters.ts'
import { isDifferenceBin } from '../evidence/histogram.ts'

/** Slots `<prefix>.<bin>` that are read as histograms, and whether a bin is one of them. */
const HISTOGRAMS: Readonly<Record<string, (bin: number) => boolean>> = {
  loss: isDifferenceBin,
  mean: isDifferenceBin,
  'arm.b.loss': bin => isDifferenceBin(bin) && bin >= 0,
  'arm.c.loss': bin => isDifferenceBin(bin) && bin >= 0,
  'lat.b': bin => bin >= 0,
  'lat.c': bin => bin >= 0,
  'plat.b': bin => bin >= 0,
  'plat.c': bin => bin >= 0,
}

/** The slots of one segment; '' is the whole traffic. */
export interface SegmentLayout {
  readonly segment: string
  /** Slot without its segment → where its name stands. */
  readonly plain: ReadonlyMap<string, number>
  /** By prefix, in order of the bin; where its name stands. */
  readonly bins: ReadonlyMap<string, readonly (readonly [bin: number, at: number])[]>
}

export interface Layout {
  /** Every name, in the order of its code units. */
  readonly names: readonly string[]
  /** The names as JSON. */
  readonly quoted: readonly string[]
  /** By name; '' is there even without a slot. */
  readonly segments: ReadonlyMap<string, SegmentLayout>
  /** The first name that no slot can have. */
  readonly fault: string | undefined
}

/** Counters at one moment: `amounts[i]` belongs to `layout.names[i]`. */
export interface Reading {
  readonly layout: Layout
  readonly amounts: readonly number[]
}

const known = new WeakMap<Counters, Layout>()

/**
 * Reads all of `counters`. Taking a thousand names apart costs about ten times as much as reading them, so the layout of a
 * map is kept: one that has as many names as before, and each of them, has the same.
 */
export function read(counters: Counters): Reading {
  const before = known.get(counters)
  const amounts = before?.names.length === counters.size ? amountsOf(counters, before.names) : undefined
  if (before !== undefined && amounts !== undefined) return { layout: before, amounts }
  const layout = takeApart([...counters.keys()].sort())
  known.set(counters, layout)
  return { layout, amounts: layout.names.map(name => counters.get(name) ?? Number.NaN) }
}

/** undefined when a name is missing. */
function amountsOf(counters: Counters, names: readonly string[]): number[] | undefined {
  // Not a Float64Array: small integers turn into text, for the digest, several times faster than floats.
  const amounts: number[] = []
  for (const name of names) {
    const amount = counters.get(name)
    if (amount === undefined) return undefined
    amounts.push(amount)
  }
  return amounts
}

function takeApart(names: readonly string[]): Layout {
  const segments = new Map([['', emptyLayout('')]])
  let fault: string | undefined
  for (const [at, name] of names.entries()) {
    const [slot, segment = ''] = splitSlot(name)
    let of = segments.get(segment)
    if (of === undefined) {
      of = emptyLayout(segment)
      segments.set(segment, of)
    }
    const dot = slot.lastIndexOf('.')
    const prefix = slot.slice(0, Math.max(0, dot))
    const isBin = Object.hasOwn(HISTOGRAMS, prefix) ? HISTOGRAMS[prefix] : undefined
    if (isBin === undefined) {
      if (prefix.startsWith('score.') || prefix === 'score') fault ??= scoreFault(slot, name)
      of.plain.set(slot, at)
      continue
    }
    const text = slot.slice(dot + 1)
    const bin = Number(text)
    if (!Number.isInteger(bin) || String(bin) !== text || !isBin(bin)) {
      fault ??= `${name} is no bin`
      continue
    }
    const bins = of.bins.get(prefix)
    if (bins === undefined) of.bins.set(prefix, [[bin, at]])
    else bins.push([bin, at])
  }
  for (const { bins } of segments.values()) for (const list of bins.values()) list.sort((a, b) => a[0] - b[0])
  return {
    names,
    quoted: names.map(name => JSON.stringify(name)),
    segments,
    fault,
  }
}

function emptyLayout(segment: string) {
  return { segment, plain: new Map<string, number>(), bins: new Map<string, [bin: number, at: number][]>() }
}

function scoreFault(slot: string, name: string): string | undefined {
  return /^score\.\d\.\d$/.test(slot) ? undefined : `${name} names no two deciles`
}
