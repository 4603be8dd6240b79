// Follows each recorded request through its second looks to evidence counts, waiting labels and spans.
import { type DropReason, MIRROR } from '../evidence/accounting.ts'
import { AnswerSlots } from '../evidence/answerSlots.ts'
import { armScope } from '../evidence/armLabels.ts'
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
import { armPendingOf } from './armAnswer.ts'
import { countAgain, countPair, countPairLatency, countSampled } from './count.ts'
import type { Promotion, ShadowDelta } from './message.ts'
import { Noise } from './noise.ts'
import { answeredOutputs, type Ended, pairOf, reversedPairOf } from './pair.ts'
import { SecondRun } from './secondRun.ts'
import { SpanWriter } from './spans.ts'
import { SNAPSHOT_KEPT_MS, Targets } from './targets.ts'
import { liveOf, type Observation, Task } from './task.ts'

interface ShadowCounts {
  readonly counters: CounterDeltas
  readonly pending: PendingPrediction[]
}

/** One version's answers in the shadow, for the metrics. */
interface Tally {
  readonly route: string
  readonly version: string
  readonly outcomes: Map<string, number>
  readonly comparisons: Map<string, number>
  /** Pairs of this candidate that are queued or under way. */
  inFlight: number
}

/** One pair that is to come: a candidate against live. */
interface Looking {
  readonly task: Task
  readonly book: Book<ShadowCounts>
  readonly candidate: SnapshotVersion
  /** The candidate was served, and live is asked. */
  readonly isReversed: boolean
  readonly second: SecondRun | undefined
}

/** What is remembered of one evidence key between epochs. */
interface KeyMemory {
  readonly segments: SegmentSlots
  readonly answers: AnswerSlots
  readonly baselineLatency: Counters
  thresholds: Readonly<Record<QuantileName, Threshold>> | undefined
  timedPairs: number
}

// The first pairs after a load run cold code: they say nothing of a version's latency.
const WARM_UP_PAIRS = 100

export class Comparer {
  readonly #targets: Targets
  readonly #spans: SpanWriter
  readonly #snapshots = new Map<number, Snapshot>()
  readonly #tallies = new Map<string, Tally>()
  readonly #ledger = new EpochLedger<ShadowCounts>(() => ({ counters: new Map(), pending: [] }))
  readonly #memory = new Map<string, KeyMemory>()
  readonly #noise = new Noise()
  #current: Snapshot | undefined

  constructor(options: { process: ScoringProcess; wallShiftMs: number }) {
    this.#targets = new Targets(options.process)
    this.#spans = new SpanWriter(options.wallShiftMs)
  }

  /** Opens the candidates of a snapshot before any record can name it. Returns those that could not be opened. */
  async apply(snapshot: Snapshot): Promise<{ version: string; message: string }[]> {
    const broken = await this.#targets.apply(snapshot)
    this.#forgetOldSnapshots(snapshot)
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

  /** Takes one record: to every version that is to look at it too, to its waiting label, or straight to its spans. */
  take(record: RequestRecord): void {
    const route = this.#snapshots.get(record.revision)?.routes[record.route]
    if (route === undefined) return
    const task = new Task(record, route)
    if (record.labelled) {
      try {
        this.#keepAnswer(task)
      } catch {
        // As with a pair: what cannot be read ends nothing.
      }
    }
    const candidates = route.versions.filter((_, index) => (record.candidates & (1 << index)) !== 0)
    if (record.paired) candidates.push(route.versions[record.version]!)
    if (candidates.length === 0) {
      this.#spans.finished(task, [])
      return
    }
    const book = this.#ledger.book(record.epoch)
    const second = this.#noise.isRunTwice(task) ? this.#runAgain(task, book) : undefined
    const pairs: Ended[] = []
    let open = candidates.length
    for (const candidate of candidates) {
      book.underWay++
      const looking = { task, book, candidate, isReversed: record.paired, second }
      this.#look(looking, ended => {
        if (ended !== undefined) pairs.push(ended)
        book.underWay--
        if (--open === 0) this.#spans.finished(task, pairs)
      })
    }
  }

  pump(): void {
    this.#targets.pump()
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
    return {
      post: { settled, epochs },
      candidates: [...this.#tallies.values()].map(takeDelta),
      spansDropped: this.#spans.takeDropped(),
    }
  }

  async close(): Promise<void> {
    await this.#targets.close()
    await this.#spans.close()
  }

  /** Asks the other version, and calls `end` once, with the pair where there is one. */
  #look(looking: Looking, end: (ended: Ended | undefined) => void): void {
    const { task, book, candidate, isReversed } = looking
    const { route } = task
    const slots = slotsOf(book.counts.counters, candidate.evidenceKey!)
    const mirror = isReversed
      ? this.#targets.of(route, liveOf(route)!, 'paired')
      : this.#targets.of(route, candidate, 'shadow')
    const tally = this.#tallyOf(route.name, candidate.version)
    if (mirror === undefined) {
      count(slots, MIRROR.dropped('not_ready'))
      end(undefined)
      return
    }
    tally.inFlight++
    const ends = (ended: Ended | undefined) => {
      tally.inFlight--
      end(ended)
    }
    mirror.offer(task, {
      notSampled: () => {
        count(slots, MIRROR.notSampled)
        ends(undefined)
      },
      dropped: (reason: DropReason) => {
        count(slots, MIRROR.dropped(reason))
        bump(this.#tallyOf(route.name, asked(looking).version).outcomes, 'dropped')
        ends(undefined)
      },
      observed: observation => {
        let ended: Ended | undefined
        try {
          ended = this.#observed(looking, slots, observation)
        } catch {
          // A pair that cannot be compared must neither end this thread nor keep its epoch open.
          count(slots, MIRROR.failed('unparseable'))
        }
        ends(ended)
      },
    })
  }

  #observed(looking: Looking, slots: Counters, observation: Observation): Ended {
    const { task, candidate, isReversed, second } = looking
    const { route, record } = task
    const { outcome } = observation
    const key = candidate.evidenceKey!
    const memory = this.#memoryOf(key, candidate)
    const pair = isReversed ? reversedPairOf(task, observation) : pairOf(task, observation)
    const segments = pair.segments.map(segment => memory.segments.take(segment))
    countPair(slots, pair, segments, memory.answers, route.differenceScale)
    // A served answer against one from the shadow: only where live was served do both times mean the same.
    // What was passed on while it came took as long as its client did to send and to read it.
    const isTimed = !isReversed && outcome.ok && task.servedOk && !observation.batched && !record.streamed
    if (isTimed && ++memory.timedPairs > WARM_UP_PAIRS) {
      countPairLatency(slots, record.inferMs, outcome.inferMs, memory.thresholds)
    }
    const candidateDiffers = pair.result === 'mismatch'
    if (pair.comparison !== undefined && route.again > 0) countSampled(slots, candidateDiffers)
    if (pair.baselineOutputs !== undefined && second !== undefined) {
      second.join(pair.baselineOutputs, secondDiffers => {
        countAgain(slots, candidateDiffers, secondDiffers)
        if (secondDiffers) this.#noise.seen(route)
      })
    }
    if (route.labels !== undefined && pair.baseline !== null) {
      const body = { key, b: pair.baseline, c: pair.candidate, s: segments }
      this.#keepPending(looking.book, task, `${route.name}/${candidate.version}`, body)
    }
    bump(this.#tallyOf(route.name, asked(looking).version).outcomes, outcome.ok ? 'ok' : outcome.code)
    bump(this.#tallyOf(route.name, candidate.version).comparisons, pair.result)
    return { version: candidate, observation, pair, isReversed }
  }

  /** Asks live once more. The epoch stays open for it, but whatever becomes of it is nobody's drop and nobody's error. */
  #runAgain(task: Task, book: Book<ShadowCounts>): SecondRun | undefined {
    const { route } = task
    const live = liveOf(route)
    const mirror = live === undefined ? undefined : this.#targets.of(route, live, 'again')
    if (live === undefined || mirror === undefined) return undefined
    const second = new SecondRun(route.compare)
    const { outcomes } = this.#tallyOf(route.name, live.version)
    book.underWay++
    const end = (observation: Observation | undefined, said: string) => {
      bump(outcomes, said)
      try {
        const outcome = observation?.outcome
        second.ended(outcome?.ok ? answeredOutputs(task, outcome, task.requestedOutputs) : undefined)
      } catch {
        // An answer that cannot be read says nothing.
      }
      book.underWay--
    }
    mirror.offer(task, {
      notSampled: () => end(undefined, 'not_sampled'),
      dropped: () => end(undefined, 'dropped'),
      observed: observation => end(observation, observation.outcome.ok ? 'ok' : observation.outcome.code),
    })
    return second
  }

  /** Keeps a live answer for its label. */
  #keepAnswer(task: Task): void {
    const body = armPendingOf(task, (version, key, segment) => this.#memoryOf(key, version).segments.take(segment))
    this.#keepPending(this.#ledger.book(task.record.epoch), task, armScope(task.route.name), body)
  }

  #keepPending({ counts }: Book<ShadowCounts>, { record }: Task, scope: string, body: unknown): void {
    counts.pending.push({
      scope,
      id: record.requestId,
      at: Math.round(this.#spans.wallMs(record.startMs)),
      body: JSON.stringify(body),
    })
  }

  #memoryOf(key: string, taken?: Pick<SnapshotVersion, 'segments' | 'classes'>): KeyMemory {
    let memory = this.#memory.get(key)
    if (memory === undefined) {
      memory = {
        segments: new SegmentSlots(taken?.segments),
        answers: new AnswerSlots(taken?.classes),
        baselineLatency: new Map(),
        thresholds: undefined,
        timedPairs: 0,
      }
      this.#memory.set(key, memory)
    }
    return memory
  }

  #tallyOf(route: string, version: string): Tally {
    const key = `${route}/${version}`
    let tally = this.#tallies.get(key)
    if (tally === undefined) {
      tally = { route, version, outcomes: new Map(), comparisons: new Map(), inFlight: 0 }
      this.#tallies.set(key, tally)
    }
    return tally
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
    this.#noise.keep(next.routes)
    const versions = new Set(
      next.routes.flatMap(({ name, versions }) => versions.map(each => `${name}/${each.version}`)),
    )
    for (const [key, { inFlight }] of this.#tallies) if (!versions.has(key) && inFlight === 0) this.#tallies.delete(key)
  }
}

/** The version that is asked in the shadow. */
function asked({ task, candidate, isReversed }: Looking): SnapshotVersion {
  return isReversed ? liveOf(task.route)! : candidate
}

function takeDelta(tally: Tally): ShadowDelta {
  const { route, version, outcomes, comparisons, inFlight } = tally
  const delta = { route, version, outcomes: [...outcomes], comparisons: [...comparisons], inFlight }
  outcomes.clear()
  comparisons.clear()
  return delta
}

function bump(counts: Map<string, number>, name: string): void {
  counts.set(name, (counts.get(name) ?? 0) + 1)
}
