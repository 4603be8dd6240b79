// Follows each recorded request through its second looks to evidence counts, waiting labels and spans.
import { type DropReason, MIRROR } from '../evidence/accounting.ts'
import { armScope } from '../evidence/armLabels.ts'
import { type Counters, count } from '../evidence/counters.ts'
import { type CounterDeltas, type EpochDelta, type EpochPost, slotsOf } from '../evidence/epochPost.ts'
import { pairedExceedances } from '../evidence/latency.ts'
import { addAgain, addPair, droppedPair, type PairCount, UNPARSEABLE_PAIR } from '../evidence/pairCount.ts'
import { type Book, EpochLedger } from '../record/epochs.ts'
import type { RequestRecord } from '../record/format.ts'
import type { Snapshot, SnapshotRoute, SnapshotVersion } from '../rollout/snapshot.ts'
import type { ScoringProcess } from '../scoring/pool.ts'
import type { PendingPrediction } from '../state/store.ts'
import type { SeriesExemplar } from '../telemetry/exemplars.ts'
import { VERSION } from '../version.ts'
import { armPendingOf } from './armAnswer.ts'
import { pairCountOf } from './count.ts'
import type { Look } from './explain.ts'
import type { Found } from './explanation.ts'
import { Explanations } from './explanations.ts'
import { type KeyMemory, learnLatency, newKeyMemory, WARM_UP_PAIRS } from './keyMemory.ts'
import { kindsOf } from './kinds.ts'
import type { Promotion, ShadowDelta } from './message.ts'
import { Noise } from './noise.ts'
import { answeredOutputs, type Ended, pairOf, reversedPairOf } from './pair.ts'
import { SecondRun } from './secondRun.ts'
import { SpanWriter } from './spans.ts'
import { bump, Tallies, type Tally } from './tallies.ts'
import { SNAPSHOT_KEPT_MS, Targets } from './targets.ts'
import { liveOf, type Observation, Task } from './task.ts'

interface ShadowCounts {
  readonly counters: CounterDeltas
  readonly pending: PendingPrediction[]
}

/** One pair that is to come: a candidate against live. */
interface Looking {
  readonly task: Task
  readonly book: Book<ShadowCounts>
  readonly candidate: SnapshotVersion
  /** The candidate was served, and live is asked. */
  readonly isReversed: boolean
  readonly second: SecondRun | undefined
  /** The candidate's. */
  readonly tally: Tally
}

export class Comparer {
  readonly #targets: Targets
  readonly #spans: SpanWriter
  readonly #snapshots = new Map<number, Snapshot>()
  readonly #tallies = new Tallies()
  readonly #ledger = new EpochLedger<ShadowCounts>(() => ({ counters: new Map(), pending: [] }))
  readonly #memory = new Map<string, KeyMemory>()
  readonly #noise = new Noise()
  readonly #explanations: Explanations
  #current: Snapshot | undefined

  constructor(options: { process: ScoringProcess; wallShiftMs: number; originMs: number }) {
    this.#targets = new Targets(options.process)
    this.#spans = new SpanWriter(options.wallShiftMs, options.originMs)
    this.#explanations = new Explanations(monotonicMs => this.#spans.wallMs(monotonicMs))
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
    const snapshot = this.#snapshots.get(record.revision)
    const route = snapshot?.routes[record.route]
    if (snapshot === undefined || route === undefined) return
    const task = new Task(record, route)
    if (record.labelled && record.withheld === undefined) {
      try {
        this.#keepAnswer(task)
      } catch {
        // As with a pair: what cannot be read ends nothing.
      }
    }
    const candidates = candidatesOf(record, route)
    if (record.paired) candidates.push(route.versions[record.version]!)
    if (candidates.length === 0 || record.withheld !== undefined) {
      // The serving thread has counted these drops.
      const reason = record.withheld ?? 'too_large'
      const dropped = candidates.map(version => droppedEnd(version, record.paired, reason))
      this.#finished(task, dropped, [], snapshot.traces)
      return
    }
    const book = this.#ledger.book(record.epoch)
    const pairs: Ended[] = []
    const looks: Look[] = []
    let open = candidates.length
    const end = () => {
      if (--open === 0) this.#finished(task, pairs, looks, snapshot.traces)
    }
    let second: SecondRun | undefined
    if (this.#noise.isRunTwice(task)) {
      // What it says of the pairs stands on their spans.
      open++
      second = this.#runAgain(task, book, end)
    }
    for (const candidate of candidates) {
      book.underWay++
      const tally = this.#tallies.of(route.name, candidate)
      const looking = { task, book, candidate, isReversed: record.paired, second, tally }
      this.#look(looking, (observation, ended) => {
        looks.push({ version: candidate, isReversed: record.paired, observation })
        if (ended !== undefined) pairs.push(ended)
        book.underWay--
        end()
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
    exemplars: SeriesExemplar[]
  } {
    const { books, settled } = this.#ledger.takeSettled(last)
    const epochs: EpochDelta[] = books.map(({ epoch, counts }) => ({ epoch, ...counts }))
    for (const { counters } of epochs) this.#learnLatency(counters)
    return {
      post: { settled, epochs },
      candidates: this.#tallies.takeDeltas(),
      spansDropped: this.#spans.takeDropped(),
      exemplars: this.#spans.takeExemplars(),
    }
  }

  /** What is remembered of a request id, in one route or in all. */
  explain(requestId: string, route: string | undefined): Found {
    return this.#explanations.find(requestId, route)
  }

  async close(): Promise<void> {
    await this.#targets.close()
    await this.#spans.close()
  }

  #finished(task: Task, pairs: readonly Ended[], looks: readonly Look[], traces: Snapshot['traces']): void {
    const kept = this.#spans.finished(task, pairs, traces)
    const results = pairs.map(({ count }) => count.result)
    this.#explanations.keep(task, looks, kept, kindsOf(task, results, traces.slow, kept))
  }

  /** Asks the other version, and calls `end` once, with what it did or why it was not asked, and what came of the pair. */
  #look(looking: Looking, end: (observation: Look['observation'], ended?: Ended) => void): void {
    const { task, book, candidate, isReversed, tally } = looking
    const { route } = task
    const slots = slotsOf(book.counts.counters, candidate.evidenceKey!)
    const mirror = isReversed
      ? this.#targets.of(route, liveOf(route)!, 'paired')
      : this.#targets.of(route, candidate, 'shadow')
    if (mirror === undefined) {
      count(slots, MIRROR.dropped('not_ready'))
      end('not_ready', droppedEnd(candidate, isReversed, 'not_ready'))
      return
    }
    tally.inFlight++
    const ends = (observation: Look['observation'], ended?: Ended) => {
      tally.inFlight--
      end(observation, ended)
    }
    mirror.offer(task, {
      notSampled: () => {
        count(slots, MIRROR.notSampled)
        ends('not_sampled')
      },
      dropped: (reason: DropReason) => {
        count(slots, MIRROR.dropped(reason))
        bump(this.#askedTally(looking).outcomes, 'dropped')
        ends(reason, droppedEnd(candidate, isReversed, reason))
      },
      observed: observation => {
        let ended: Ended
        try {
          ended = this.#observed(looking, slots, observation)
        } catch {
          // A pair that cannot be compared must neither end this thread nor keep its epoch open.
          count(slots, MIRROR.failed('unparseable'))
          ended = {
            version: candidate,
            observation,
            pair: undefined,
            count: UNPARSEABLE_PAIR,
            number: undefined,
            isReversed,
          }
        }
        ends(observation, ended)
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
    const said = pairCountOf(pair, segments, memory.answers, route.differenceScale)
    // A served answer against one from the shadow: only where live was served do both times mean the same.
    // What was passed on while it came took as long as its client did to send and to read it.
    // What live may have scored together with others took as long as those did.
    const isAlone = !observation.batched && !record.untimed
    const isTimed = !isReversed && outcome.ok && task.servedOk && isAlone && !record.streamed
    const isWarm = isTimed && ++memory.timedPairs > WARM_UP_PAIRS
    const { thresholds } = memory
    const counted: PairCount = {
      ...said,
      latency: isWarm ? [record.inferMs, outcome.inferMs] : undefined,
      late: isWarm && thresholds !== undefined ? pairedExceedances(thresholds, record.inferMs, outcome.inferMs) : [],
      sampled: pair.comparison !== undefined && route.again > 0,
    }
    addPair(slots, counted)
    const number = ++memory.observed
    const ended: Ended = { version: candidate, observation, pair, count: counted, number, isReversed }
    if (pair.baselineOutputs !== undefined && second !== undefined) {
      second.join(pair.baselineOutputs, secondDiffers => {
        addAgain(slots, pair.result === 'mismatch', secondDiffers)
        ended.again = secondDiffers
        if (secondDiffers) this.#noise.seen(route)
      })
    }
    if (route.labels !== undefined && pair.baseline !== null) {
      const body = { key, b: pair.baseline, c: pair.candidate, s: segments }
      this.#keepPending(looking.book, task, `${route.name}/${candidate.version}`, body)
    }
    const { outcomes, inference } = this.#askedTally(looking)
    bump(outcomes, outcome.ok ? 'ok' : outcome.code)
    inference.add(outcome.inferMs / 1000)
    bump(looking.tally.comparisons, pair.result)
    return ended
  }

  /** Asks live once more. The epoch stays open for it, but whatever becomes of it is nobody's drop and nobody's error. */
  #runAgain(task: Task, book: Book<ShadowCounts>, onEnd: () => void): SecondRun | undefined {
    const { route } = task
    const live = liveOf(route)
    const mirror = live === undefined ? undefined : this.#targets.of(route, live, 'again')
    if (live === undefined || mirror === undefined) {
      onEnd()
      return undefined
    }
    const second = new SecondRun(route.compare)
    const { outcomes } = this.#tallies.of(route.name, live)
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
      onEnd()
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
      memory = newKeyMemory(taken)
      this.#memory.set(key, memory)
    }
    return memory
  }

  /** That of the version that is asked in the shadow. */
  #askedTally({ task: { route }, isReversed, tally }: Looking): Tally {
    return isReversed ? this.#tallies.of(route.name, liveOf(route)!) : tally
  }

  #learnLatency(counters: CounterDeltas): void {
    for (const [key, slots] of counters) learnLatency(this.#memoryOf(key), slots, () => this.#latencyLimits(key))
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
    this.#tallies.keep(versions)
  }
}

/** The versions that it is mirrored to. */
function candidatesOf({ candidates }: RequestRecord, { versions }: SnapshotRoute): SnapshotVersion[] {
  const found: SnapshotVersion[] = []
  for (let index = 0; index < versions.length; index++) {
    if ((candidates & (1 << index)) !== 0) found.push(versions[index]!)
  }
  return found
}

function droppedEnd(version: SnapshotVersion, isReversed: boolean, reason: DropReason): Ended {
  const dropped = droppedPair(reason)
  return { version, observation: undefined, pair: undefined, count: dropped, number: undefined, isReversed }
}
