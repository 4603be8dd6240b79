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
  /** Slot without its segment → its whole name. */
  readonly plain: ReadonlyMap<string, string>
  /** By prefix, in order of the bin. */
  readonly bins: ReadonlyMap<string, readonly (readonly [bin: number, name: string])[]>
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

/** Names only come: a map that has as many as before, and each of them, has the same. */
const known = new WeakMap<Counters, Layout>()

/** The layout of `counters`; taking a thousand slots apart costs about as much as reading them ten times. */
export function layoutOf(counters: Counters): Layout {
  const before = known.get(counters)
  if (before !== undefined && before.names.length === counters.size && before.names.every(name => counters.has(name)))
    return before
  const layout = takeApart([...counters.keys()].sort())
  known.set(counters, layout)
  return layout
}

function takeApart(names: readonly string[]): Layout {
  const segments = new Map([['', emptyLayout('')]])
  let fault: string | undefined
  for (const name of names) {
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
      of.plain.set(slot, name)
      continue
    }
    const text = slot.slice(dot + 1)
    const bin = Number(text)
    if (!Number.isInteger(bin) || String(bin) !== text || !isBin(bin)) {
      fault ??= `${name} is no bin`
      continue
    }
    const bins = of.bins.get(prefix)
    if (bins === undefined) of.bins.set(prefix, [[bin, name]])
    else bins.push([bin, name])
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
  return { segment, plain: new Map<string, string>(), bins: new Map<string, [bin: number, name: string][]>() }
}

function scoreFault(slot: string, name: string): string | undefined {
  return /^score\.\d\.\d$/.test(slot) ? undefined : `${name} names no two deciles`
}
