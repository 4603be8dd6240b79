// Takes spans of traffic that is served elsewhere, a little at a time, and hands out the evidence they came to. Judges nothing.
import { UnderstudyError } from '../errors.ts'
import type { EpochDelta } from '../evidence/epochPost.ts'
import { epochAt, monotonicMs } from '../record/clock.ts'
import type { Snapshot, SnapshotRoute } from '../rollout/snapshot.ts'
import type { PartialSuccess } from '../telemetry/exportAnswer.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import type { ReadSpan } from '../telemetry/readSpans.ts'
import { type TracedRoute, whoseSpan } from '../traced/observe.ts'
import { type PairBounds, TracePairs } from '../traced/pairs.ts'

export interface TracesParts {
  /** Undefined until the first configuration serves. */
  readonly snapshot: () => Snapshot | undefined
  readonly metrics: Pick<Metrics, 'receivedSpans' | 'comparisonDelta'>
  readonly originMs: number
  /** ms since the Unix epoch. */
  readonly now: () => number
}

/** A prediction's span, with the route it is of. */
interface Prediction {
  readonly route: string
  readonly version: string
  readonly span: ReadSpan
}

const OPEN_TRACES = 100_000
/** More than an exporter's retries reach back: at 500 traces a second more than six minutes. */
const KNOWN_TRACES = 200_000
const MOST_SPANS = 100_000
/** The control thread does nothing else for so long at most, ms. */
const SLICE_MS = 5
const LOOK_EVERY = 32
/** Different reasons that an answer lists. */
const REASONS_LISTED = 5
const LONGEST_NAME = 64

export class Traces {
  readonly #parts: TracesParts
  readonly #pairs = new Map<string, TracePairs>()
  /** Spans of versions that the route does not have, or of another build, with the last one's name. */
  readonly #strange = new Map<string, { spans: number; reason: string }>()
  /** Routes of which a prediction has come. */
  readonly #known = new Set<string>()
  /** Spans that are no prediction of any route. */
  #others = 0
  #applied: Snapshot | undefined
  #turn: Promise<unknown> = Promise.resolve()

  constructor(parts: TracesParts) {
    this.#parts = parts
  }

  /**
   * Takes an export; one after another, each in slices that let the thread do its other work.
   * @throws TOO_LARGE beyond 100,000 spans, and what iterating throws: nothing is taken then
   */
  take(spans: Iterable<ReadSpan | undefined>): Promise<PartialSuccess> {
    const taken = this.#turn.then(() => this.#take(spans))
    this.#turn = taken.catch(() => {})
    return taken
  }

  /** Evidence of epochs whose traces are all paired or given up, by route, oldest first. */
  release(): EpochDelta[] {
    this.#apply()
    const nowMs = monotonicMs()
    const last = epochAt(nowMs, this.#parts.originMs) - 1
    return [...this.#pairs.values()].flatMap(pairs => pairs.release(last, nowMs))
  }

  /** All evidence there is; traces that wait for a span are lost. */
  end(): EpochDelta[] {
    return [...this.#pairs.values()].flatMap(pairs => pairs.end())
  }

  /** Traces of a candidate that wait for a span. */
  inFlight(route: string, candidate: string): number {
    return this.#pairs.get(route)?.inFlight(candidate) ?? 0
  }

  /** What a person should know of the spans of a route. */
  notices(route: string): string[] {
    if (!this.#pairs.has(route)) return []
    const strange = this.#strange.get(route)
    if (strange !== undefined) return [`${strange.spans} spans are of no version here, the last: ${strange.reason}`]
    if (this.#known.has(route)) return []
    return [
      this.#others === 0
        ? 'no span has come since the start (POST /v1/traces)'
        : `none of ${this.#others} spans since the start is a prediction of this route by its \`spans\``,
    ]
  }

  async #take(spans: Iterable<ReadSpan | undefined>): Promise<PartialSuccess> {
    const slices = new Slices()
    this.#apply()
    const predictions: Prediction[] = []
    const refused = new Map<string, number>()
    const outcomes = new Map<string, number>()
    let read = 0
    for (const span of spans) {
      await slices.next()
      if (++read > MOST_SPANS) throw new UnderstudyError('TOO_LARGE', `more than ${MOST_SPANS} spans in one request`)
      if (span === undefined) {
        add(refused, 'spans without ids or times', 1)
        add(outcomes, BROKEN, 1)
      } else this.#sort(span, predictions, refused, outcomes)
    }
    for (const { route, version, span } of predictions) {
      await slices.next()
      const outcome = this.#pairs.get(route)?.take(span, version, this.#moment()) ?? 'idle'
      add(outcomes, `${route}\0${outcome}`, 1)
    }
    for (const [key, count] of outcomes) {
      const [route = '', outcome = ''] = key.split('\0')
      this.#parts.metrics.receivedSpans(route, outcome, count)
    }
    // A warning, and no refusal: the sender has done nothing wrong.
    if (this.#pairs.size === 0 && refused.size === 0)
      return { rejectedSpans: 0, errorMessage: 'no route of this gateway is served elsewhere and known by its spans' }
    return answerTo(refused)
  }

  /** Puts a span where it belongs; one of several routes goes to each of them. */
  #sort(span: ReadSpan, predictions: Prediction[], refused: Map<string, number>, outcomes: Map<string, number>): void {
    let isOther = true
    for (const { route } of this.#pairs.values()) {
      const whose = whoseSpan(span, route)
      if (whose.kind === 'other') continue
      isOther = false
      if (whose.kind === 'version') {
        this.#known.add(route.name)
        predictions.push({ route: route.name, version: whose.version.version, span })
        continue
      }
      const named = JSON.stringify(whose.named.slice(0, LONGEST_NAME))
      const reason =
        whose.kind === 'unknown_version'
          ? `route ${route.name} has no version that spans call ${named}`
          : `another build than the declared one calls itself ${named} of route ${route.name}`
      add(refused, reason, 1)
      add(outcomes, `${route.name}\0${whose.kind}`, 1)
      this.#strange.set(route.name, { spans: (this.#strange.get(route.name)?.spans ?? 0) + 1, reason })
    }
    if (!isOther) return
    this.#others++
    add(outcomes, '\0other', 1)
  }

  #moment() {
    const nowMs = monotonicMs()
    return { nowMs, epoch: epochAt(nowMs, this.#parts.originMs), unixMs: this.#parts.now() }
  }

  /** Follows the configuration that serves. What a route that left has open is nobody's evidence any more. */
  #apply(): void {
    const snapshot = this.#parts.snapshot()
    if (snapshot === undefined || snapshot === this.#applied) return
    this.#applied = snapshot
    const nowMs = monotonicMs()
    const bounds: PairBounds = {
      openTraces: OPEN_TRACES,
      knownTraces: KNOWN_TRACES,
      bytes: snapshot.mirror.queue,
      answerBytes: snapshot.mirror.bodyBytes,
    }
    const traced = snapshot.routes.filter(isTraced)
    for (const route of traced) {
      const { name } = route
      const pairs = this.#pairs.get(name)
      if (pairs !== undefined) pairs.apply(route, bounds, nowMs)
      else {
        const onPair = (candidate: string, result: string) =>
          this.#parts.metrics.comparisonDelta(name, candidate, result, 1)
        this.#pairs.set(name, new TracePairs(route, bounds, nowMs, onPair))
      }
    }
    for (const name of this.#pairs.keys()) {
      if (!traced.some(route => route.name === name)) {
        this.#pairs.delete(name)
        this.#strange.delete(name)
        this.#known.delete(name)
      }
    }
  }
}

const BROKEN = '\0broken'

function isTraced(route: SnapshotRoute): route is TracedRoute {
  return route.spans !== undefined
}

function answerTo(refused: ReadonlyMap<string, number>): PartialSuccess {
  const reasons = [...refused]
  const listed = reasons.slice(0, REASONS_LISTED).map(([reason, spans]) => `${reason} (${spans})`)
  if (reasons.length > REASONS_LISTED) listed.push(`and ${reasons.length - REASONS_LISTED} other reasons`)
  return { rejectedSpans: reasons.reduce((sum, [, spans]) => sum + spans, 0), errorMessage: listed.join('; ') }
}

function add(counts: Map<string, number>, name: string, amount: number): void {
  counts.set(name, (counts.get(name) ?? 0) + amount)
}

/** Lets other work of the thread in every few milliseconds. */
class Slices {
  #startedMs = performance.now()
  #steps = 0

  next(): Promise<void> | undefined {
    if (++this.#steps % LOOK_EVERY !== 0 || performance.now() - this.#startedMs < SLICE_MS) return undefined
    return new Promise(resolve =>
      setImmediate(() => {
        this.#startedMs = performance.now()
        resolve()
      }),
    )
  }
}
