// Follows each recorded request through its candidates to evidence counts, waiting labels and spans.

import { messageOf } from '../errors.ts'
import { MIRROR } from '../evidence/accounting.ts'
import { addAll, type Counters, count } from '../evidence/counters.ts'
import { type CounterDeltas, type EpochDelta, type EpochPost, slotsOf } from '../evidence/epochPost.ts'
import { latencyThresholds, type QuantileName, type Threshold } from '../evidence/latency.ts'
import { SegmentSlots } from '../evidence/segments.ts'
import { type Book, EpochLedger } from '../record/epochs.ts'
import type { RequestRecord } from '../record/format.ts'
import type { Snapshot, SnapshotRoute, SnapshotVersion } from '../rollout/snapshot.ts'
import type { ScoringProcess } from '../scoring/pool.ts'
import type { PendingPrediction } from '../state/store.ts'
import { VERSION } from '../version.ts'
import { openCandidate } from './candidate.ts'
import type { Promotion, ShadowDelta } from './message.ts'
import { Mirror } from './mirror.ts'
import { countPair, countPairLatency, type Ended, pairOf } from './pair.ts'
import { SpanWriter } from './spans.ts'
import { type Observation, Task } from './task.ts'

interface ShadowCounts {
  readonly counters: CounterDeltas
  readonly pending: PendingPrediction[]
}

/** A candidate of the present snapshot, or of an older one whose requests are still under way. */
interface Target {
  readonly key: string
  readonly route: string
  readonly version: string
  readonly mirror: Mirror
  readonly outcomes: Map<string, number>
  readonly comparisons: Map<string, number>
}

/** What is remembered of one evidence key between epochs. */
interface KeyMemory {
  readonly segments: SegmentSlots
  readonly baselineLatency: Counters
  thresholds: Readonly<Record<QuantileName, Threshold>> | undefined
  timedPairs: number
}

// The first pairs after a load run cold code: they say nothing of a version's latency.
const WARM_UP_PAIRS = 100
/** A snapshot is kept this long after it was replaced, for records that still name it. */
const SNAPSHOT_KEPT_MS = 60_000

export class Comparer {
  readonly #process: ScoringProcess
  readonly #spans: SpanWriter
  readonly #snapshots = new Map<number, Snapshot>()
  readonly #targets = new Map<string, Target>()
  readonly #ledger = new EpochLedger<ShadowCounts>(() => ({ counters: new Map(), pending: [] }))
  readonly #memory = new Map<string, KeyMemory>()
  readonly #closing = new Map<string, NodeJS.Timeout>()
  #current: Snapshot | undefined

  constructor(options: { process: ScoringProcess; wallShiftMs: number }) {
    this.#process = options.process
    this.#spans = new SpanWriter(options.wallShiftMs)
  }

  /** Opens the candidates of a snapshot before any record can name it. Returns those that could not be opened. */
  async apply(snapshot: Snapshot): Promise<{ version: string; message: string }[]> {
    const broken: { version: string; message: string }[] = []
    const wanted = new Set<string>()
    for (const route of snapshot.routes) {
      for (const version of route.versions) {
        if (!isCandidate(route, version)) continue
        const key = targetKey(route, version)
        wanted.add(key)
        if (this.#targets.has(key)) continue
        try {
          const candidate = await openCandidate(route, version, this.#process)
          const mirror = new Mirror(candidate, version.shadow, snapshot.mirror.queue)
          this.#targets.set(key, {
            key,
            route: route.name,
            version: version.version,
            mirror,
            outcomes: new Map(),
            comparisons: new Map(),
          })
        } catch (error) {
          broken.push({ version: `${route.name}/${version.version}`, message: messageOf(error) })
        }
      }
    }
    this.#forgetOldSnapshots(snapshot)
    this.#closeUnwanted(wanted)
    await this.#spans.configure(snapshot.traces, VERSION)
    return broken
  }

  /** Whether records can be read: they name a revision. */
  get hasSnapshot(): boolean {
    return this.#current !== undefined
  }

  promoted(promotion: Promotion): void {
    this.#spans.promoted(promotion)
  }

  /** Takes one record: to every candidate it was sampled for, or straight to its spans. */
  take(record: RequestRecord): void {
    const route = this.#snapshots.get(record.revision)?.routes[record.route]
    if (route === undefined) return
    const task = new Task(record, route)
    const candidates = route.versions.filter((_, index) => (record.candidates & (1 << index)) !== 0)
    if (candidates.length === 0) {
      this.#spans.finished(task, [])
      return
    }
    const book = this.#ledger.book(record.epoch)
    const pairs: Ended[] = []
    let open = candidates.length
    for (const version of candidates) {
      book.underWay++
      const end = (ended: Ended | undefined) => {
        if (ended !== undefined) pairs.push(ended)
        book.underWay--
        if (--open === 0) this.#spans.finished(task, pairs)
      }
      this.#mirrorTo(task, version, book, end)
    }
  }

  pump(): void {
    for (const { mirror } of this.#targets.values()) mirror.pump()
  }

  /** What was settled up to epoch `last`, and counts for the metrics. */
  takeTick(last: number): {
    post: EpochPost
    candidates: ShadowDelta[]
    spansDropped: Record<string, number>
  } {
    const { books, settled } = this.#ledger.takeSettled(last)
    const epochs: EpochDelta[] = books.map(({ epoch, counts }) => ({ epoch, ...counts }))
    for (const { counters } of epochs) this.#learnLatency(counters)
    const targets = [...this.#targets.values()]
    return {
      post: { settled, epochs },
      candidates: targets.map(target => takeDelta(target)),
      spansDropped: this.#spans.takeDropped(),
    }
  }

  async close(): Promise<void> {
    for (const timer of this.#closing.values()) clearTimeout(timer)
    await Promise.all([...this.#targets.values()].map(({ mirror }) => mirror.close()))
    await this.#spans.close()
  }

  #mirrorTo(
    task: Task,
    version: SnapshotVersion,
    book: Book<ShadowCounts>,
    end: (ended: Ended | undefined) => void,
  ): void {
    const { route } = task
    const slots = slotsOf(book.counts.counters, version.evidenceKey!)
    const target = this.#targets.get(targetKey(route, version))
    if (target === undefined) {
      count(slots, MIRROR.dropped('not_ready'))
      end(undefined)
      return
    }
    target.mirror.offer(task, {
      notSampled: () => {
        count(slots, MIRROR.notSampled)
        end(undefined)
      },
      dropped: reason => {
        count(slots, MIRROR.dropped(reason))
        bump(target.outcomes, 'dropped')
        end(undefined)
      },
      observed: observation => {
        let ended: Ended | undefined
        try {
          ended = this.#observed(task, version, target, book, slots, observation)
        } catch {
          // A pair that cannot be compared must neither end this thread nor keep its epoch open.
          count(slots, MIRROR.failed('unparseable'))
        }
        end(ended)
      },
    })
  }

  #observed(
    task: Task,
    version: SnapshotVersion,
    target: Target,
    book: Book<ShadowCounts>,
    slots: Counters,
    observation: Observation,
  ): Ended {
    const key = version.evidenceKey!
    const memory = this.#memoryOf(key, version.segments)
    const pair = pairOf(task, observation)
    countPair(slots, task, observation, pair, segment => memory.segments.take(segment))
    const { outcome } = observation
    if (outcome.ok && task.baselineOk && !observation.batched && ++memory.timedPairs > WARM_UP_PAIRS) {
      countPairLatency(slots, task.record.inferMs, outcome.inferMs, memory.thresholds)
    }
    if (task.route.labels !== undefined && pair.baseline !== null) {
      const body = {
        key,
        b: pair.baseline,
        c: pair.candidate,
        s: pair.segments.map(segment => memory.segments.take(segment)),
      }
      book.counts.pending.push({
        scope: `${task.route.name}/${version.version}`,
        id: task.record.requestId,
        at: Math.round(this.#spans.wallMs(task.record.startMs)),
        body: JSON.stringify(body),
      })
    }
    bump(target.outcomes, outcome.ok ? 'ok' : outcome.code)
    bump(target.comparisons, pair.result)
    return { version, observation, pair }
  }

  #memoryOf(key: string, segments: readonly string[] = []): KeyMemory {
    let memory = this.#memory.get(key)
    if (memory === undefined) {
      memory = {
        segments: new SegmentSlots(segments),
        baselineLatency: new Map(),
        thresholds: undefined,
        timedPairs: 0,
      }
      this.#memory.set(key, memory)
    }
    return memory
  }

  /** Thresholds come from settled epochs only, so that no pair is judged by a threshold that it moved itself. */
  #learnLatency(counters: CounterDeltas): void {
    for (const [key, slots] of counters) {
      const memory = this.#memoryOf(key)
      const latency = [...slots].filter(([slot]) => slot.startsWith('plat.b.'))
      if (latency.length === 0) continue
      addAll(memory.baselineLatency, latency)
      const limits = this.#latencyLimits(key)
      if (limits) memory.thresholds = latencyThresholds(memory.baselineLatency, 'plat.b', limits)
    }
  }

  #latencyLimits(key: string): SnapshotRoute['latency'] | undefined {
    return this.#current?.routes.find(route => route.versions.some(version => version.evidenceKey === key))?.latency
  }

  #forgetOldSnapshots(next: Snapshot): void {
    const previous = this.#current
    this.#current = next
    this.#snapshots.set(next.revision, next)
    if (previous === undefined || previous.revision === next.revision) return
    const timer = setTimeout(() => this.#snapshots.delete(previous.revision), SNAPSHOT_KEPT_MS)
    timer.unref()
    const keys = new Set(next.routes.flatMap(route => route.versions.map(version => version.evidenceKey)))
    for (const key of this.#memory.keys()) if (!keys.has(key)) this.#memory.delete(key)
  }

  /**
   * Closes targets that the present snapshot does not name, after as long as records of older ones may come: serving
   * threads go on with the old revision until they have the new one.
   */
  #closeUnwanted(wanted: ReadonlySet<string>): void {
    for (const key of wanted) {
      clearTimeout(this.#closing.get(key))
      this.#closing.delete(key)
    }
    for (const [key, target] of this.#targets) {
      if (wanted.has(key) || this.#closing.has(key)) continue
      const timer = setTimeout(() => {
        this.#closing.delete(key)
        this.#targets.delete(key)
        // Its queue is still worth sending: the evidence of those requests would be lost otherwise.
        target.mirror.close().catch(() => {})
      }, SNAPSHOT_KEPT_MS)
      this.#closing.set(key, timer)
    }
  }
}

function isCandidate(route: SnapshotRoute, version: SnapshotVersion): boolean {
  return (
    version.version !== route.live &&
    version.shadow.percent > 0 &&
    version.evidenceKey !== undefined &&
    version.broken === undefined
  )
}

function targetKey(route: SnapshotRoute, version: SnapshotVersion): string {
  return JSON.stringify([
    route.name,
    version.version,
    version.digest,
    version.target,
    version.shadow,
    route.limits.body,
  ])
}

function takeDelta(target: Target): ShadowDelta {
  const delta = {
    route: target.route,
    version: target.version,
    outcomes: [...target.outcomes],
    comparisons: [...target.comparisons],
    inFlight: target.mirror.inFlight,
  }
  target.outcomes.clear()
  target.comparisons.clear()
  return delta
}

function bump(counts: Map<string, number>, name: string): void {
  counts.set(name, (counts.get(name) ?? 0) + 1)
}
