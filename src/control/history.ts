// Remembers how each metric came to where it stands, a bounded number of samples a candidate. Judges nothing.
import { z } from 'zod'
import type { Verdict } from '../gate/evidence.ts'
import type { MetricHistory } from '../report/charts.ts'

/** Most frames of one candidate; at least half as many once it has been judged that often. */
export const MOST_FRAMES = 120
/** A store is not asked to keep a candidate's frames more often than this. */
const KEPT_EVERY_MS = 10_000

const figure = z.number().nullable()
const Row = z.tuple([figure, figure, figure, figure, figure, figure, figure])
/** n, estimate, interval's ends, limit, log e-value of harm, and of safety. */
type Row = z.infer<typeof Row>

const Frame = z.strictObject({
  /** ms since the Unix epoch. */
  at: z.number(),
  /** The candidate's percent of live traffic. */
  step: z.number(),
  /** By the number of the stream's name. */
  rows: z.record(z.string(), Row),
})
type Frame = z.infer<typeof Frame>

const Kept = z.strictObject({
  scope: z.string(),
  names: z.array(z.string()),
  every: z.int().min(1),
  seen: z.int().min(0),
  kept: z.array(Frame).max(MOST_FRAMES),
})

/** Every `every`-th of `seen` samples, the first among them. */
export interface Decimated<T> {
  /** A power of two. */
  readonly every: number
  readonly seen: number
  readonly kept: readonly T[]
}

export const NONE: Decimated<never> = { every: 1, seen: 0, kept: [] }

/**
 * The series after one more sample: it is kept where its number, counted from 0, is a multiple of `every`. When more than
 * `most` would be kept, every other one goes and `every` doubles; so what is kept is spread evenly over the whole time,
 * and depends on how many samples came, not on when the process was restarted.
 */
export function decimated<T>(series: Decimated<T>, sample: () => T, most: number): Decimated<T> {
  const { every, seen, kept } = series
  if (seen % every !== 0) return { every, seen: seen + 1, kept }
  const grown = [...kept, sample()]
  if (grown.length <= most) return { every, seen: seen + 1, kept: grown }
  return { every: every * 2, seen: seen + 1, kept: grown.filter((_, index) => index % 2 === 0) }
}

interface Remembered {
  readonly scope: string
  /** Names of streams, in the order of first sight: kept once, not in every frame. */
  readonly names: readonly string[]
  readonly frames: Decimated<Frame>
  /** When the store got it last, and how many frames it had seen; ms of the clock that `sample` is given. */
  readonly savedMs: number
  readonly isSaved: boolean
}

/** What a candidate's evidence is about: what was seen of another attempt is dropped. */
export interface Scope {
  readonly attemptKey: string
  readonly candidateDigest: string
}

/** The parts of the evidence book that are needed: what is kept goes with the book's next commit. */
export interface Keeper {
  keepValue(key: string, value: string): void
}

export class VerdictHistory {
  readonly #keeper: Keeper
  readonly #read: (key: string) => string | undefined
  readonly #byCandidate = new Map<string, Remembered>()

  constructor(keeper: Keeper, read: (key: string) => string | undefined) {
    this.#keeper = keeper
    this.#read = read
  }

  /** Takes one verdict in; most calls only count. @throws STATE_FAILED at the first sight of a candidate */
  sample(verdict: Verdict, { attemptKey, candidateDigest }: Scope, nowMs: number): void {
    const key = storeKey(verdict.route, verdict.candidate)
    const scope = `${candidateDigest}/${attemptKey}`
    const before = this.#remembered(key, scope)
    const names = [...before.names]
    const frames = decimated(before.frames, () => frameOf(verdict, nowMs, names), MOST_FRAMES)
    const isSaved = before.isSaved && frames.kept === before.frames.kept
    const due = !isSaved && nowMs - before.savedMs >= KEPT_EVERY_MS
    this.#byCandidate.set(key, {
      scope,
      names,
      frames,
      savedMs: due ? nowMs : before.savedMs,
      isSaved: isSaved || due,
    })
    if (due) this.#keeper.keepValue(key, JSON.stringify({ scope, names, ...frames }))
  }

  /** Hands over what the store has not got yet: before an orderly end. */
  keepAll(): void {
    for (const [key, known] of this.#byCandidate) {
      if (known.isSaved) continue
      const { scope, names, frames } = known
      this.#keeper.keepValue(key, JSON.stringify({ scope, names, ...frames }))
      this.#byCandidate.set(key, { ...known, isSaved: true })
    }
  }

  /** Forgets every candidate that is not among these, `route/version`; the store's copy waits for its return. */
  forgetOthers(candidates: ReadonlySet<string>): void {
    for (const key of this.#byCandidate.keys()) {
      if (!candidates.has(key.slice(PREFIX.length))) this.#byCandidate.delete(key)
    }
  }

  /** Each metric's way so far, ending in the verdict of this moment. */
  of(verdict: Verdict, { attemptKey, candidateDigest }: Scope, nowMs: number): readonly MetricHistory[] {
    const known = this.#byCandidate.get(storeKey(verdict.route, verdict.candidate))
    const isSame = known?.scope === `${candidateDigest}/${attemptKey}`
    const names = isSame ? [...known.names] : []
    const frames = [...(isSame ? known.frames.kept : []), frameOf(verdict, nowMs, names)]
    return names.map((name, index) => {
      const [metric = '', what = ''] = name.split(BETWEEN)
      const points = frames.flatMap(({ at, step, rows }) => {
        const row = rows[index]
        return row === undefined ? [] : [[at, step, ...row] as const]
      })
      return { metric, what, points }
    })
  }

  #remembered(key: string, scope: string): Remembered {
    const known = this.#byCandidate.get(key) ?? this.#stored(key)
    if (known?.scope === scope) return known
    return { scope, names: [], frames: NONE, savedMs: Number.NEGATIVE_INFINITY, isSaved: false }
  }

  #stored(key: string): Remembered | undefined {
    const text = this.#read(key)
    if (text === undefined) return undefined
    const parsed = Kept.safeParse(jsonOrNothing(text))
    if (!parsed.success) return undefined
    const { scope, names, ...frames } = parsed.data
    return { scope, names, frames, savedMs: Number.NEGATIVE_INFINITY, isSaved: true }
  }
}

const PREFIX = 'verdicts/'
const BETWEEN = '\n'

function storeKey(route: string, version: string): string {
  return `${PREFIX}${route}/${version}`
}

/**
 * Segments come and go among a verdict's rows, so only the whole of each stream is remembered.
 * @param names new streams are added
 */
function frameOf({ step, metrics }: Verdict, nowMs: number, names: string[]): Frame {
  const rows: Record<string, Row> = {}
  for (const row of metrics) {
    if (row.segment !== undefined) continue
    const [low, high] = row.interval ?? [null, null]
    const name = `${row.metric}${BETWEEN}${row.what}`
    if (!names.includes(name)) names.push(name)
    rows[names.indexOf(name)] = [
      row.n,
      short(row.estimate),
      short(low),
      short(high),
      short(row.limit),
      short(row.logHarm),
      short(row.logSafe),
    ]
  }
  return { at: Math.round(nowMs), step, rows }
}

/** Five digits are more than a line can show; JSON has no infinity. */
function short(value: number | null): number | null {
  return value === null || !Number.isFinite(value) ? null : Number(value.toPrecision(5))
}

function jsonOrNothing(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
