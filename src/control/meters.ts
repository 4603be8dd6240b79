// Feeds the metrics from what threads post, epochs commit and the gate says.
import { accountOf, failedOf } from '../evidence/accounting.ts'
import type { Counters } from '../evidence/counters.ts'
import type { EpochDelta } from '../evidence/epochPost.ts'
import type { Verdict } from '../gate/evidence.ts'
import { monotonicMs } from '../record/clock.ts'
import type { Snapshot, SnapshotRoute } from '../rollout/snapshot.ts'
import type { VersionStatistics } from '../serving/dataPlane.ts'
import type { FromServing } from '../serving/message.ts'
import type { FromShadow } from '../shadow/message.ts'
import type { ExemplarSeries } from '../telemetry/exemplars.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import { routeTemplate } from '../telemetry/routeTemplates.ts'
import { type AnswerCounts, Answered, type AnsweredVersion } from './answered.ts'

const RUNTIME = { onnx: 'onnx', url: 'http', traced: 'traced' } as const

export class Meters {
  readonly metrics: Metrics
  readonly #openTraces: (route: string, version: string) => number
  readonly #inFlight = new Map<string, number>()
  /** Their `lastMs` of the monotonic clock. */
  readonly #statistics = new Map<string, VersionStatistics>()
  readonly #answered = new Answered()
  /** What serves, by name: a reading asks for every route that had a request. */
  #applied: ReadonlyMap<string, SnapshotRoute> = new Map()

  /** @param openTraces traces of a candidate that wait for a span */
  constructor(metrics: Metrics, openTraces: (route: string, version: string) => number = () => 0) {
    this.metrics = metrics
    this.#openTraces = openTraces
  }

  /** A new configuration serves: shares, models, and what has left. */
  applied(snapshot: Snapshot): void {
    // Before anything is forgotten: it would be back with the next reading.
    this.settle()
    const routes = new Map(snapshot.routes.map(route => [route.name, route] as const))
    for (const before of this.#applied.values()) {
      const route = routes.get(before.name)
      if (route === undefined) this.metrics.forgetRoute(before.name)
      for (const { version } of before.versions) {
        if (route?.versions.some(each => each.version === version)) continue
        this.metrics.forgetVersion(before.name, version)
        this.#statistics.delete(`${before.name}/${version}`)
        this.#answered.forget(before.name, version)
      }
    }
    this.#applied = routes
    for (const route of snapshot.routes) {
      for (const { version, weight, digest, target, evidenceKey } of route.versions) {
        if (evidenceKey === undefined) this.metrics.forgetVerdict(route.name, version)
        this.metrics.weight(route.name, version, weight)
        this.metrics.modelInfo({
          model: route.name,
          version,
          digest,
          runtime: RUNTIME[target.kind],
        })
      }
    }
  }

  served(thread: string, { versions, refused }: Extract<FromServing, { kind: 'tick' }>): void {
    this.#answered.told(thread, versions)
    for (const { code, protocol, count, buckets, sumSeconds } of refused) {
      // No version was chosen, so there is none to name.
      this.metrics.requestDelta({ route: '', version: '', role: 'live', code }, count, buckets, sumSeconds)
      const template = routeTemplate(protocol, [])
      this.metrics.httpServerDuration({ method: 'POST', route: template, status: code }, buckets, sumSeconds)
    }
  }

  /** A serving thread has ended. */
  ended(thread: string): void {
    this.#answered.ended(thread)
    // Or a thread that keeps dying leaves more and more behind where nobody reads metrics.
    this.settle()
  }

  /** Writes what serving threads counted into the metrics. Call it before they are read. */
  settle(): void {
    for (const version of this.#answered.take()) this.#settle(version)
  }

  /** Answers of each version that no tester picked it for, since the last call, by `route/version`. */
  takeAnswers(): ReadonlyMap<string, AnswerCounts> {
    return this.#answered.takeAnswers()
  }

  /** What all serving threads counted of every version, by `route/version`, as JSON. */
  statistics(): string {
    this.settle()
    // From the monotonic clock only now: a clock that is set back must not hold the latest answer in the future.
    const sinceMs = Date.now() - monotonicMs()
    const told = [...this.#statistics].map(([key, counted]) => [key, { ...counted, lastMs: counted.lastMs + sinceMs }])
    return JSON.stringify(Object.fromEntries(told))
  }

  shadowed({ candidates, spansDropped, exemplars }: Extract<FromShadow, { kind: 'tick' }>): void {
    this.#inFlight.clear()
    for (const { route, version, outcomes, comparisons, inference, inFlight } of candidates) {
      for (const [outcome, count] of outcomes) this.metrics.shadowDelta(route, version, outcome, count)
      for (const [result, count] of comparisons) this.metrics.comparisonDelta(route, version, result, count)
      if (inference) {
        this.metrics.inferenceDelta({ route, version, role: 'shadow' }, inference.buckets, inference.sumSeconds)
      }
      this.#inFlight.set(`${route}/${version}`, inFlight)
    }
    for (const exemplar of exemplars) if (this.#isSeriesServed(exemplar.series)) this.metrics.exemplar(exemplar)
    for (const [reason, count] of Object.entries(spansDropped)) this.metrics.spansDropped(reason, count)
  }

  /** Pairs of a candidate that are queued or under way now, here or as traces that wait for a span. */
  inFlight(route: string, version: string): number {
    return (this.#inFlight.get(`${route}/${version}`) ?? 0) + this.#openTraces(route, version)
  }

  /** Epochs are in the store: the mirror's accounts follow. */
  committed(epochs: readonly EpochDelta[], snapshot: Snapshot | undefined): void {
    if (epochs.every(({ counters }) => counters.size === 0)) return
    for (const route of snapshot?.routes ?? []) {
      for (const { version, evidenceKey } of route.versions) {
        if (evidenceKey === undefined) continue
        for (const { counters } of epochs) {
          const slots = counters.get(evidenceKey)
          if (slots) this.#account(route.name, version, slots)
        }
      }
    }
  }

  verdict(verdict: Verdict): void {
    this.metrics.verdict(verdict.route, verdict.candidate, verdict.decision)
    const { route, candidate } = verdict
    for (const { metric, segment, logHarm, logHarmNeeded } of verdict.metrics) {
      if (segment !== undefined) continue
      if (Number.isFinite(logHarm)) this.metrics.logEvalue(route, candidate, metric, logHarm)
      this.metrics.logEvalueLimit(route, candidate, metric, logHarmNeeded)
    }
  }

  #settle({ route, version, role, codes, inference, lastMs }: AnsweredVersion): void {
    const key = `${route}/${version}`
    const paths = this.#applied.get(route)?.paths ?? []
    for (const { code, protocol, buckets, sumSeconds } of codes) {
      const template = routeTemplate(protocol, paths)
      this.metrics.httpServerDuration({ method: 'POST', route: template, status: code }, buckets, sumSeconds)
    }
    if (!this.#isServed(route, version)) return
    const counted = { succeeded: 0, failed: 0, inferMs: 0, lastMs: 0, ...this.#statistics.get(key) }
    for (const { code, count, buckets, sumSeconds } of codes) {
      this.metrics.requestDelta({ route, version, role, code }, count, buckets, sumSeconds)
      counted[code < 300 ? 'succeeded' : 'failed'] += count
    }
    if (inference) {
      this.metrics.inferenceDelta({ route, version, role }, inference.buckets, inference.sumSeconds)
      counted.inferMs += inference.sumSeconds * 1000
    }
    // Several threads answered, one of them last.
    counted.lastMs = Math.max(counted.lastMs, lastMs)
    this.#statistics.set(key, counted)
  }

  /** A request may end after its version left the configuration: it must not bring back what was forgotten. */
  #isServed(route: string, name: string): boolean {
    return this.#applied.get(route)?.versions.some(({ version }) => version === name) ?? false
  }

  #isSeriesServed(series: ExemplarSeries): boolean {
    return (
      series.of === 'http' ||
      this.#isServed(series.route, series.of === 'comparison' ? series.candidate : series.version)
    )
  }

  #account(route: string, version: string, slots: Counters): void {
    const account = accountOf(slots)
    this.metrics.accounting(route, version, {
      eligible: account.eligible,
      notSampled: account.notSampled,
      dropped: account.dropped,
      failed: failedOf(account),
      compared: account.compared,
      lost: account.lost,
      inFlight: this.inFlight(route, version),
    })
    if (account.dropped.ring_full > 0) this.metrics.ringDrops('ring_full', account.dropped.ring_full)
  }
}
