// Decides which finished requests are told as spans, and puts together what is known of them. The only teller of spans.
import type { Protocol } from '../config/protocols.ts'
import { messageOf } from '../errors.ts'
import { codecOf } from '../protocols/codecs.ts'
import { OUTCOME } from '../record/format.ts'
import type { Snapshot, SnapshotRoute, SnapshotVersion } from '../rollout/snapshot.ts'
import { NewestExemplars, type SeriesExemplar } from '../telemetry/exemplars.ts'
import type { FinishedComparison, FinishedInference, FinishedPair, FinishedRequest } from '../telemetry/finished.ts'
import { type Kept, keepRequest } from '../telemetry/keep.ts'
import { createLogger } from '../telemetry/log.ts'
import { openTracing, type Tracing } from '../telemetry/otlp.ts'
import { routeTemplate } from '../telemetry/routeTemplates.ts'
import type { Promotion } from './message.ts'
import type { Ended } from './pair.ts'
import { liveOf, ownPathOf, type Task } from './task.ts'
import { requestCountOf, termsOf } from './told.ts'

const SHUTDOWN_MS = 3_000
const TERMS_EVERY_MS = 60_000
const MOST_TOLD = 10_000

export class SpanWriter {
  readonly #wallShiftMs: number
  readonly #exemplars = new NewestExemplars()
  readonly #originMs: number
  /** When each evidence key was told of last, and under which revision. */
  readonly #toldTerms = new Map<string, { atMs: number; revision: number }>()
  #settings: Snapshot['traces'] | undefined
  #tracing: Tracing | undefined

  /** @param originMs of epoch 0, on the monotonic clock */
  constructor(wallShiftMs: number, originMs: number) {
    this.#wallShiftMs = wallShiftMs
    this.#originMs = Math.round(originMs + wallShiftMs)
  }

  /** A moment of the monotonic clock as ms since the Unix epoch. */
  wallMs(monotonicMs: number): number {
    return monotonicMs + this.#wallShiftMs
  }

  /** Applies `traces`. A file named later than at the first start needs a restart: the SDK is global to its thread. */
  async configure(settings: Snapshot['traces'], version: string): Promise<void> {
    const first = this.#settings === undefined
    this.#settings = settings
    if (!first) return
    const log = createLogger()
    try {
      this.#tracing = await openTracing({
        file: settings.file,
        version,
        log: { info: text => log.info(text), warn: text => log.warn(text) },
      })
    } catch (error) {
      log.warn(`no spans are written: ${messageOf(error)}`)
    }
  }

  /**
   * Returns why its spans are kept; undefined: they are not.
   * @param traces of the revision that served it: its serving thread has decided by the same ratio
   */
  finished(task: Task, ended: readonly Ended[], traces: Snapshot['traces']): Kept | undefined {
    if (this.#tracing === undefined) return undefined
    const { record } = task
    const kept = keepRequest(
      {
        traceId: record.traceId,
        results: ended.map(({ count }) => count.result),
        failed: record.outcome !== OUTCOME.ok && record.outcome !== OUTCOME.clientError,
        durationMs: record.durationMs,
      },
      { ratio: traces.ratio, slowMs: traces.slow },
    )
    if (kept === undefined) return undefined
    const count = requestCountOf(task, ended)
    this.#tellTerms(this.#tracing, task, [...count.arms, ...count.mirrored, ...count.notSampled])
    const evidence = { epoch: record.epoch, originMs: this.#originMs, ratio: traces.ratio, count }
    const request = { ...this.#requestOf(task, ended, kept), evidence }
    // An exemplar that points to a trace which nobody stored is useless.
    if (this.#tracing.request(request)) this.#exemplars.saw(request)
    return kept
  }

  /**
   * Says what evidence keys stand for, now and then rather than on every span: whoever has a minute of spans knows it.
   */
  #tellTerms(tracing: Tracing, { route, record }: Task, keys: readonly string[]): void {
    for (const key of keys) {
      const told = this.#toldTerms.get(key)
      const isDue = told === undefined || record.startMs - told.atMs >= TERMS_EVERY_MS
      if (!isDue && told.revision >= record.revision) continue
      const version = route.versions.find(({ evidenceKey }) => evidenceKey === key)
      const terms = version === undefined ? undefined : termsOf(route, version)
      if (terms === undefined) continue
      if (this.#toldTerms.size >= MOST_TOLD) this.#toldTerms.clear()
      this.#toldTerms.set(key, { atMs: record.startMs, revision: record.revision })
      tracing.terms(terms, this.wallMs(record.startMs))
    }
  }

  promoted(promotion: Promotion): void {
    this.#tracing?.promotion({
      route: promotion.route,
      by: promotion.who,
      from: promotion.from,
      to: promotion.to,
      evidenceDigest: promotion.evidenceDigest,
      startMs: Date.now(),
      durationMs: 0,
      errorType: '',
      links: [],
    })
  }

  /** Spans dropped since the last call, by exporter and reason. */
  takeDropped(): Record<string, number> {
    return this.#tracing?.takeDrops() ?? {}
  }

  /** The newest request of each metric's bucket whose spans were kept since the last call. */
  takeExemplars(): SeriesExemplar[] {
    return this.#exemplars.take()
  }

  async close(): Promise<void> {
    await this.#tracing?.shutdown(SHUTDOWN_MS)
  }

  #requestOf(task: Task, ended: readonly Ended[], kept: Kept): FinishedRequest {
    const { record, route } = task
    const served = route.versions[record.version]!
    const startMs = this.wallMs(record.startMs)
    return {
      route: route.name,
      revision: record.revision,
      protocol: record.protocol,
      requestId: record.requestId,
      traceId: record.traceId,
      spanId: record.serverSpanId,
      parentSpanId: record.parentSpanId,
      tracestate: record.tracestate,
      method: 'POST',
      httpRoute: routeTemplate(record.protocol, route.paths),
      path: ownPathOf(record) || pathOf(record.protocol, route.name),
      status: record.status,
      startMs,
      durationMs: record.durationMs,
      errorType: record.errorType,
      assigned: record.forced ? 'targeting_match' : isSplit(route) ? 'split' : 'static',
      servedVersion: served.version,
      inferences: [
        ...(wasAsked(record) ? [this.#served(task, served, startMs)] : []),
        ...ended.flatMap(each => this.#shadow(task, each)),
      ],
      comparisons: ended.map(each => this.#comparison(task, served, each)),
      kept,
    }
  }

  #served(task: Task, version: SnapshotVersion, startMs: number): FinishedInference {
    const { record, route } = task
    return {
      ...versionOf(version),
      role: version.version === route.live ? 'live' : 'canary',
      spanId: record.inferSpanId,
      startMs: startMs + Math.max(0, record.durationMs - record.inferMs),
      durationMs: record.inferMs,
      queueMs: record.queueMs,
      errorType: record.errorType,
      ...(version.target.kind === 'url' && { http: { url: version.target.urls[0]!, status: record.status } }),
    }
  }

  #shadow({ route }: Task, { version: candidate, observation, isReversed }: Ended): FinishedInference[] {
    if (observation === undefined) return []
    const { outcome, sentMs } = observation
    const version = isReversed ? liveOf(route)! : candidate
    return [
      {
        ...versionOf(version),
        role: 'shadow',
        spanId: observation.spanId,
        startMs: this.wallMs(sentMs) + outcome.queueMs,
        durationMs: outcome.inferMs,
        queueMs: outcome.queueMs,
        errorType: outcome.ok ? '' : outcome.code,
        ...(version.target.kind === 'url' && { http: { url: version.target.urls[0]!, status: outcome.ok ? 200 : 0 } }),
      },
    ]
  }

  #comparison({ record, route }: Task, served: SnapshotVersion, ended: Ended): FinishedComparison {
    const { version, observation, pair, count, isReversed } = ended
    const comparison = pair?.comparison
    const outcome = observation?.outcome
    const [baseline, candidate] = isReversed ? [liveOf(route)!, served] : [served, version]
    const [baselineMs, candidateMs] = isReversed
      ? [outcome?.inferMs, record.inferMs]
      : [record.inferMs, outcome?.inferMs]
    const evidence = pairOf(version, ended, route)
    return {
      result: count.result,
      kind: comparison?.outputs[0]?.kind,
      maxAbsDiff: comparison?.maxAbsDiff ?? null,
      maxRelDiff: comparison?.maxRelDiff ?? null,
      baseline: {
        version: baseline.version,
        digest: baseline.digest,
        answer: comparison?.baselineValue ?? null,
        ...(baselineMs !== undefined && { latencyMs: baselineMs }),
      },
      candidate: {
        version: candidate.version,
        digest: candidate.digest,
        answer: comparison?.candidateValue ?? null,
        ...(candidateMs !== undefined && { latencyMs: candidateMs }),
      },
      startMs:
        observation === undefined
          ? this.wallMs(record.startMs) + record.durationMs
          : this.wallMs(observation.sentMs) + observation.outcome.queueMs + observation.outcome.inferMs,
      durationMs: 0,
      ...(evidence !== undefined && { evidence }),
    }
  }
}

/** A request that was refused before any version saw it has no inference to tell of. */
function wasAsked({ outcome, inferMs, status }: Task['record']): boolean {
  return outcome !== OUTCOME.clientError || inferMs > 0 || status === 0
}

function pairOf(
  version: SnapshotVersion,
  { pair, count, number, again }: Ended,
  route: SnapshotRoute,
): FinishedPair | undefined {
  const { evidenceKey: key, period } = version
  if (key === undefined) return undefined
  const isLabelled = route.labels !== undefined && pair !== undefined && pair.baseline !== null
  const [b, c] = pair?.firstRows?.map(({ score }) => score) ?? []
  return {
    key,
    stage: version.weight > 0 ? 'canary' : 'shadow',
    share: period?.share ?? 0,
    number,
    count,
    again,
    predictions: isLabelled ? [pair.baseline, pair.candidate] : undefined,
    scores: b === undefined || c === undefined ? undefined : [b, c],
  }
}

function versionOf({ version, digest, target }: SnapshotVersion): {
  version: string
  digest: string
  runtime: 'onnx' | 'http'
} {
  return { version, digest, runtime: target.kind === 'onnx' ? 'onnx' : 'http' }
}

/** The path that a protocol gives a route; a query, or a version in it, is not told. */
function pathOf(protocol: Protocol, name: string): string {
  return codecOf(protocol)?.predictPath(name) ?? ''
}

function isSplit(route: SnapshotRoute): boolean {
  return route.versions.filter(version => version.weight > 0).length > 1
}
