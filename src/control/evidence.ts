// Keeps the evidence of every candidate: periods, counters in memory, and their way into the store. Judges nothing.
import { type BlockSetting, nextBlocks, type OpenBlocks } from '../evidence/blocks.ts'
import { addAll, type Counters, count, type ReadonlyCounters, SLOT } from '../evidence/counters.ts'
import { type CounterDeltas, type EpochDelta, slotsOf } from '../evidence/epochPost.ts'
import { binsOf } from '../evidence/histogram.ts'
import { KeptCounters } from '../evidence/keptCounters.ts'
import { type LatencyLimits, unpairedExceedances } from '../evidence/latency.ts'
import type { Evidence, Waiver } from '../gate/evidence.ts'
import { evidenceOf } from '../rollout/evidenceOf.ts'
import { type AppliedRoute, currentPeriods, nextPeriods, type PeriodRecord, RoutePeriods } from '../rollout/periods.ts'
import type { CounterDelta, StateStore } from '../state/store.ts'
import { SegmentOrder } from './segmentOrder.ts'

/** What is to be kept together with the epochs: labels, and what they came to. */
export interface Extra {
  readonly counters: Iterable<readonly [evidenceKey: string, slots: Counters]>
  readonly labelled?: readonly { readonly scope: string; readonly id: string; readonly label: string }[]
  readonly resolved: readonly { readonly scope: string; readonly id: string }[]
}

/** The evidence keys of one route. */
interface Followed {
  readonly judged: ReadonlySet<string>
  readonly open: readonly string[]
}

const TIME_KEPT_EVERY_MS = 1_000
/** The last epochs of a key settle within a deadline of its requests. */
const LEFT_KEPT_MS = 600_000

export class EvidenceBook {
  readonly #store: Pick<StateStore, 'commit' | 'counters' | 'value'>
  readonly #waiver: (route: string, version: string, digest: string) => Waiver | undefined
  readonly #periods = new Map<string, RoutePeriods>()
  readonly #counters = new Map<string, KeptCounters>()
  /** Latency limits by evidence key, of the keys that are followed: those of current periods, and for a while of earlier ones. */
  readonly #limits = new Map<string, LatencyLimits>()
  /** Evidence keys that are counted in blocks. */
  readonly #blockSettings = new Map<string, BlockSetting>()
  /** Blocks that are not over. They are in memory only: one that a restart cuts short is not counted. */
  #blocks: OpenBlocks = new Map()
  readonly #segments: SegmentOrder
  /** By route: keys of the periods that candidates are judged on, and those that are open. */
  readonly #current = new Map<string, Followed>()
  /** The open ones of all routes; undefined: to be collected anew. */
  #open: readonly string[] | undefined
  readonly #compareDigests = new Map<string, string>()
  /** When a key left the current ones, ms: its last epochs and labels are still on their way. */
  readonly #left = new Map<string, number>()
  /** Values by store key that the store does not have yet. */
  readonly #unsaved = new Map<string, string>()
  /** Serving time of open keys that the store does not have yet, ms. */
  readonly #time = new Map<string, number>()

  /** @param waiver what is waived of a version's bytes at this moment */
  constructor(
    store: Pick<StateStore, 'commit' | 'counters' | 'value'>,
    waiver: (route: string, version: string, digest: string) => Waiver | undefined = () => undefined,
  ) {
    this.#store = store
    this.#segments = new SegmentOrder(store)
    this.#waiver = waiver
  }

  /**
   * Follows an applied configuration: periods end and begin. Returns the open evidence key of each candidate. New periods
   * are kept by the next commit, in the transaction of their first counters or before: a store that fails must not keep
   * a rollback from being applied. For the same reason counters are read only when they are asked for.
   * @param blocksMs length of the blocks that live errors are judged by; undefined: none
   * @throws STATE_FAILED only at the first sight of a route
   */
  follow(
    route: AppliedRoute,
    limits: LatencyLimits,
    nowMs: number,
    blocksMs: number | undefined = undefined,
  ): ReadonlyMap<string, string> {
    const before = this.#routePeriods(route.name)
    const next = nextPeriods(before, route, nowMs)
    if (JSON.stringify(before) !== JSON.stringify(next)) {
      this.#periods.set(route.name, next)
      this.#unsaved.set(storeKey(route.name), JSON.stringify(next))
    }
    for (const { key, compareDigest } of next.periods) this.#compareDigests.set(key, compareDigest)
    const known = new Set(before?.periods.map(({ key }) => key))
    const keys = new Map<string, string>()
    const judged = new Set<string>()
    for (const { version } of route.candidates) {
      const periods = currentPeriods(next, version)
      const open = periods.at(-1)
      if (open === undefined) continue
      keys.set(version, open.key)
      for (const { key, share } of periods) {
        judged.add(key)
        this.#limits.set(key, limits)
        if (blocksMs === undefined) this.#blockSettings.delete(key)
        else this.#blockSettings.set(key, { blocksMs, isThinned: share > 0.5 })
        if (known.has(key)) continue
        this.#counters.set(key, new KeptCounters())
        this.#segments.begin(key)
      }
    }
    this.#moveOn(route.name, { judged, open: [...keys.values()] }, nowMs)
    return keys
  }

  /** The compare digest that an evidence key stands for; undefined: no key of a route that was followed. */
  compareDigestOf(key: string): string | undefined {
    return this.#compareDigests.get(key)
  }

  /** Follows no other routes than these: one that left, or whose live does not load, gathers nothing. */
  keep(routes: ReadonlySet<string>, nowMs: number): void {
    for (const route of [...this.#current.keys()]) if (!routes.has(route)) this.#moveOn(route, undefined, nowMs)
  }

  /** Something else to be kept in the store by the next commit that works. */
  keepValue(key: string, value: string): void {
    this.#unsaved.set(key, value)
  }

  /** The gateway has served for so long: exposure is counted like everything else, so that time without it is none. */
  served(elapsedMs: number): void {
    for (const key of this.#openKeys()) this.#time.set(key, (this.#time.get(key) ?? 0) + elapsedMs)
  }

  /**
   * Commits settled epochs and joined labels in one transaction; memory follows only when the store has them. Serving time
   * alone is written once a second. Says whether anything was written.
   * @throws STATE_FAILED: nothing was kept
   */
  commit(epochs: readonly EpochDelta[], extra: Extra): boolean {
    const total: CounterDeltas = new Map()
    for (const { counters } of epochs) {
      for (const [key, delta] of counters) {
        const slots = slotsOf(total, key)
        // Thresholds come from what was committed before, epoch by epoch, so that no answer is judged by its own epoch.
        const seen = this.#withDelta(key, slots)
        const limits = this.#limits.get(key)
        const late = limits === undefined ? undefined : unpairedExceedances(seen, delta, limits)
        addAll(slots, delta)
        if (late) addAll(slots, late)
      }
    }
    const blocks = nextBlocks(this.#blocks, epochs, key => this.#blockSettings.get(key))
    for (const [key, slots] of blocks.ended) addAll(slotsOf(total, key), slots)
    for (const [key, slots] of extra.counters) addAll(slotsOf(total, key), slots)
    const pending = epochs.flatMap(epoch => epoch.pending)
    const segments = [...total].flatMap(([key, slots]) => this.#segments.grown(key, this.counters(key), slots))
    for (const grown of segments) this.#unsaved.set(...this.#segments.valueOf(grown))
    const values = [...this.#unsaved].map(([key, value]) => ({ key, value }))
    const isDue = [...this.#time.values()].some(ms => ms >= TIME_KEPT_EVERY_MS)
    const { labelled = [], resolved } = extra
    if (total.size + pending.length + labelled.length + resolved.length + values.length === 0 && !isDue) return false
    for (const [key, ms] of this.#time) {
      if (ms >= 1) count(slotsOf(total, key), SLOT.timeMs, Math.floor(ms))
    }
    // Read before they are written: what is not in memory would else be added twice.
    const counted = [...total].map(([key, slots]) => [this.counters(key), slots] as const)
    this.#store.commit({ counters: flat(total), pending, labelled, resolved, values })
    this.#unsaved.clear()
    this.#blocks = blocks.open
    this.#segments.kept(segments)
    const open = new Set(this.#openKeys())
    for (const [key, ms] of this.#time) {
      if (open.has(key)) this.#time.set(key, ms % 1)
      else this.#time.delete(key)
    }
    for (const [counters, slots] of counted) counters.addAll(slots)
    this.#forget()
    return true
  }

  /** The counters of one period; empty when there are none. @throws STATE_FAILED */
  counters(key: string): KeptCounters {
    let counters = this.#counters.get(key)
    if (counters === undefined) {
      counters = KeptCounters.of(this.#store.counters(key).get(key) ?? new Map())
      this.#counters.set(key, counters)
    }
    return counters
  }

  /**
   * Segments that have slots in a period, in the order of their first sight, over restarts too: a restarted shadow thread
   * must not hand out others, and the gate gives its own slots by this order. None while the store cannot be read: no
   * configuration waits for that.
   */
  segments(key: string): readonly string[] {
    return this.#canRead(key) ? this.#segmentsOf(key) : []
  }

  /** Classes that have slots in a period, `baseline|candidate`; none while the store cannot be read. */
  classes(key: string): readonly string[] {
    if (!this.#canRead(key)) return []
    const slots = [...this.counters(key).segments.get('')!.plain.keys()]
    return slots.filter(slot => slot.startsWith(CLASS_PREFIX)).map(slot => slot.slice(CLASS_PREFIX.length))
  }

  /** Whether live has contradicted itself on this route, as far as is known. */
  isNoisy(route: string): boolean {
    const keys = this.#current.get(route)?.judged ?? []
    return [...keys].some(key => this.#canRead(key) && (this.counters(key).get(SLOT.againDiffers) ?? 0) > 0)
  }

  /** Periods that a version is judged on, in time order. */
  periods(route: string, version: string): readonly PeriodRecord[] {
    const all = this.#routePeriods(route)
    return all === undefined ? [] : currentPeriods(all, version)
  }

  /** Counters of all periods a version is judged on, added up, to be read at once: one period's are not copied. */
  total(route: string, version: string): ReadonlyCounters {
    return KeptCounters.sumOf(this.periods(route, version).map(({ key }) => this.counters(key)))
  }

  /**
   * Everything that a verdict on this candidate is made from; undefined: it gathers no evidence, or it is the holdback,
   * which nobody judges. @throws STATE_FAILED
   */
  evidence(route: string, version: string): Evidence | undefined {
    const all = this.#routePeriods(route)
    if (all === undefined) return undefined
    const periods = currentPeriods(all, version)
    const isJudged = (period: PeriodRecord) => period.endedAt === undefined && !period.holdback
    const judged = new Set(all.periods.filter(isJudged).map(period => period.version))
    const open = periods.at(-1)
    const waiver = open === undefined ? undefined : this.#waiver(route, version, open.candidateDigest)
    const source = {
      counters: (key: string) => this.counters(key),
      segments: (key: string) => this.#segmentsOf(key),
    }
    return evidenceOf(periods, judged.size, source, waiver)
  }

  /** The version that is a route's holdback now, and its periods against the present live, in time order. */
  holdback(route: string): { readonly version: string; readonly periods: readonly PeriodRecord[] } | undefined {
    const all = this.#routePeriods(route)
    const open = all?.periods.find(period => period.endedAt === undefined && period.holdback)
    if (all === undefined || open === undefined) return undefined
    return { version: open.version, periods: currentPeriods(all, open.version) }
  }

  /** Answers and errors of these bytes as a canary, over the last of its attempts that had any. @throws STATE_FAILED */
  canaryErrors(route: string, digest: string): { readonly n: number; readonly errors: number } {
    const periods = this.#routePeriods(route)?.periods ?? []
    const own = periods.filter(each => each.candidateDigest === digest && each.stage === 'canary' && !each.holdback)
    const last = own.at(-1)?.attemptKey
    let [n, errors] = [0, 0]
    for (const { key } of own.filter(({ attemptKey }) => attemptKey === last)) {
      n += this.counters(key).get(SLOT.armCandidate) ?? 0
      errors += this.counters(key).get(SLOT.armCandidateError) ?? 0
    }
    return { n, errors }
  }

  /** Of all routes: most of thousands have no candidate, and time is counted four times a second. */
  #openKeys(): readonly string[] {
    this.#open ??= [...this.#current.values()].flatMap(({ open }) => open)
    return this.#open
  }

  #routePeriods(route: string): RoutePeriods | undefined {
    const known = this.#periods.get(route)
    if (known !== undefined) return known
    const stored = this.#store.value(storeKey(route))
    if (stored === undefined) return undefined
    const periods = RoutePeriods.parse(JSON.parse(stored))
    this.#periods.set(route, periods)
    return periods
  }

  /** Keys that no candidate is judged on any more are followed a while longer. */
  #moveOn(route: string, next: Followed | undefined, nowMs: number): void {
    for (const key of this.#current.get(route)?.judged ?? []) if (!next?.judged.has(key)) this.#left.set(key, nowMs)
    for (const key of next?.judged ?? []) this.#left.delete(key)
    if (next === undefined) this.#current.delete(route)
    else this.#current.set(route, next)
    this.#open = undefined
    for (const [key, leftAt] of this.#left) {
      if (nowMs - leftAt < LEFT_KEPT_MS) continue
      this.#left.delete(key)
      this.#limits.delete(key)
      this.#blockSettings.delete(key)
    }
    this.#forget()
  }

  /** A late label brings counters of a key back that nobody follows. */
  #forget(): void {
    for (const key of this.#counters.keys()) if (!this.#limits.has(key)) this.#counters.delete(key)
    this.#segments.keep(key => this.#limits.has(key))
  }

  /** @throws STATE_FAILED */
  #segmentsOf(key: string): readonly string[] {
    return this.#segments.of(key, this.counters(key))
  }

  #canRead(key: string): boolean {
    try {
      this.counters(key)
      this.#segmentsOf(key)
      return true
    } catch {
      return false
    }
  }

  /** Latencies of the baseline with those of the earlier epochs of a commit: what thresholds are taken from. */
  #withDelta(key: string, delta: Counters): ReadonlyCounters {
    const committed = this.counters(key)
    if (delta.size === 0) return committed
    const seen: Counters = new Map()
    for (const counters of [committed, delta])
      for (const [bin, amount] of binsOf(counters, BASELINE_LATENCY)) count(seen, `${BASELINE_LATENCY}.${bin}`, amount)
    return seen
  }
}

const BASELINE_LATENCY = 'lat.b'
const CLASS_PREFIX = 'class.'

function storeKey(route: string): string {
  return `periods/${route}`
}

function flat(counters: CounterDeltas): CounterDelta[] {
  const deltas: CounterDelta[] = []
  for (const [key, slots] of counters) for (const [slot, amount] of slots) deltas.push({ key, slot, amount })
  return deltas
}
