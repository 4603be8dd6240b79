// Every metric name of Understudy, behind verbs. The control thread calls them with deltas that other threads counted.
import { Registry } from 'prom-client'
import type { MetricName, NotifyEvent } from '../config/schema.ts'
import type { Decision } from '../gate/evidence.ts'
import { INFERENCE_BUCKETS_S, REQUEST_BUCKETS_S } from './durations.ts'
import type { SeriesExemplar } from './exemplars.ts'
import type { Role } from './finished.ts'
import { type OpenMetricsSource, OpenMetricsText } from './openMetrics.ts'
import { BucketHistogram, CounterSeries, GaugeSeries, type Labels } from './series.ts'

export type { Role } from './finished.ts'
export type ReloadResult = 'applied' | 'held' | 'refused'

export interface RequestLabels {
  readonly route: string
  readonly version: string
  readonly role: Role
  /** HTTP status code of the answer. */
  readonly code: number
}

export type InferenceLabels = Omit<RequestLabels, 'code'>

export interface HttpServerLabels {
  readonly method: string
  /** The path template, such as `/v2/models/{model_name}/infer`; never the path itself. */
  readonly route: string
  readonly status: number
  readonly scheme?: 'http' | 'https'
}

/**
 * What became of mirrored requests since the last call; `inFlight` is how many are under way now.
 * eligible = notSampled + dropped + failed + compared + lost, and what is in flight.
 */
export interface MirrorAccount {
  readonly eligible: number
  readonly notSampled: number
  /** By reason, such as `queue_full` or `too_large`. */
  readonly dropped: Readonly<Record<string, number>>
  readonly failed: number
  readonly compared: number
  readonly lost: number
  readonly inFlight: number
}

/** Plain: Prometheus text 0.0.4. */
export type MetricsFormat = 'plain' | 'openmetrics'

export interface Condition {
  readonly ready: boolean
  /** routes.yaml as it stands is the one that serves, or what the gate holds of it. */
  readonly configValid: boolean
  readonly storeUp: boolean
}

export interface ModelLabels {
  readonly model: string
  readonly version: string
  readonly digest: string
  /** `onnx`, `http` or `traced`. */
  readonly runtime: string
}

const DECISIONS: readonly Decision[] = ['abort', 'continue', 'hold', 'promote', 'invalid']
/** The bounds that the HTTP semantic conventions advise for http.server.request.duration. */
const HTTP_SERVER_BUCKETS_S = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10]
/** Methods that may become a label value; any other is `_OTHER`, as the conventions say. */
const KNOWN_METHODS = new Set(['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE', 'PATCH'])

/**
 * The metrics of one gateway, in a registry of their own. Label values come from the configuration (routes, versions)
 * or from fixed sets (codes, outcomes, reasons), never from a client: that is the caller's duty but for HTTP methods.
 */
export class Metrics {
  readonly #registry = new Registry()
  readonly #openMetrics = new OpenMetricsText()
  readonly #requests = this.#counter('understudy_requests_total', 'Answered requests.', [
    'route',
    'version',
    'role',
    'code',
  ])
  readonly #requestDuration = this.#histogram(
    'understudy_request_duration_seconds',
    'Time from the request’s head to the end of the answer.',
    REQUEST_BUCKETS_S,
  )
  readonly #inferenceDuration = this.#histogram(
    'understudy_inference_duration_seconds',
    'Time one version took to answer, without waiting in our queues.',
    INFERENCE_BUCKETS_S,
  )
  readonly #shadowRequests = this.#counter(
    'understudy_shadow_requests_total',
    'Mirrored requests by what the shadow made of them. What serving threads dropped is in understudy_mirror_requests_total alone.',
    ['route', 'version', 'outcome'],
  )
  readonly #comparisons = this.#counter('understudy_comparisons_total', 'Compared answers by result.', [
    'route',
    'candidate',
    'result',
  ])
  readonly #mirrorRequests = this.#counter(
    'understudy_mirror_requests_total',
    'What became of live requests that could be mirrored. The state eligible is the sum of all others and of those in flight.',
    ['route', 'candidate', 'state', 'reason'],
  )
  readonly #mirrorInFlight = this.#gauge('understudy_mirror_in_flight_requests', 'Mirrored requests under way.', [
    'route',
    'candidate',
  ])
  readonly #weight = this.#gauge(
    'understudy_route_weight',
    'Percent of live traffic that a version takes now, on the scale of routes.yaml (0 to 100).',
    ['route', 'version'],
  )
  readonly #verdict = this.#gauge(
    'understudy_gate_verdict',
    '1 for the verdict that the gate gives now, 0 for the others.',
    ['route', 'candidate', 'verdict'],
  )
  readonly #logEvalue = this.#gauge(
    'understudy_gate_log_evalue',
    'Natural logarithm of the evidence of harm, by metric.',
    ['route', 'candidate', 'metric'],
  )
  readonly #logEvalueLimit = this.#gauge(
    'understudy_gate_log_evalue_limit',
    'What understudy_gate_log_evalue must reach for its metric to be named guilty; absent where the metric cannot be.',
    ['route', 'candidate', 'metric'],
  )
  readonly #declineEvidence = this.#gauge(
    'understudy_decline_log_evidence',
    'Natural logarithm of the evidence that live has declined since its promotion; an alarm at 13.8.',
    ['route'],
  )
  readonly #declined = this.#gauge(
    'understudy_declined',
    '1 while live is said to have declined since its promotion.',
    ['route', 'metric'],
  )
  readonly #reloads = this.#counter('understudy_config_reload_total', 'Readings of routes.yaml by result.', ['result'])
  readonly #modelInfo = this.#gauge('understudy_model_info', '1 for every model version that is loaded.', [
    'model',
    'version',
    'digest',
    'runtime',
  ])
  readonly #ringDrops = this.#counter(
    'understudy_ring_dropped_records_total',
    'Records that did not fit between a serving thread and the shadow thread.',
    ['reason'],
  )
  readonly #spansDropped = this.#counter('understudy_spans_dropped_total', 'Spans that were kept but not exported.', [
    'reason',
  ])
  readonly #receivedSpans = this.#counter(
    'understudy_received_spans_total',
    'Spans sent to POST /v1/traces by what became of them; route is empty where a span is of none.',
    ['route', 'outcome'],
  )
  readonly #labels = this.#counter('understudy_labels_total', 'Labels received by what became of them.', [
    'route',
    'outcome',
  ])
  readonly #notifications = this.#counter(
    'understudy_notifications_total',
    'Webhook messages by what became of them; failed ones are tried again.',
    ['route', 'event', 'outcome'],
  )
  readonly #httpServerDuration = this.#histogram(
    'http_server_request_duration_seconds',
    'Duration of HTTP server requests.',
    HTTP_SERVER_BUCKETS_S,
  )
  readonly #ready = this.#gauge('understudy_ready', '1 while /readyz says so: every live version can answer.', [])
  readonly #configValid = this.#gauge(
    'understudy_config_valid',
    '0 while routes.yaml is refused as it stands, and the one before it serves.',
    [],
  )
  readonly #storeUp = this.#gauge('understudy_state_store_up', '0 while the state store cannot be written.', [])
  readonly #buildInfo = this.#gauge('understudy_build_info', '1, with the version of Understudy.', ['version'])
  readonly #threadBusy = this.#counter(
    'understudy_thread_busy_seconds_total',
    'Time that the event loop of a thread was busy; its rate is at most 1.',
    ['thread'],
  )
  readonly #cpu = this.#counter('process_cpu_seconds_total', 'User and system CPU time of this process.', [])
  readonly #residentMemory = this.#gauge('process_resident_memory_bytes', 'Resident memory of this process.', [])
  readonly #startTime = this.#gauge('process_start_time_seconds', 'Start of this process since the Unix epoch.', [])
  /** Labels of the loaded versions: with thousands of them no series is searched for one. */
  readonly #models = new Map<string, Labels>()
  /** Candidates that the gate has said something of. */
  readonly #judged = new Set<string>()

  constructor() {
    // A counter that is absent until its first event hides that event from rate().
    for (const result of ['applied', 'held', 'refused'] satisfies ReloadResult[]) this.#reloads.inc({ result }, 0)
    this.#ringDrops.inc({ reason: 'ring_full' }, 0)
    this.#spansDropped.inc({ reason: 'unwritable' }, 0)
  }

  /**
   * Answered requests.
   * @param durationBuckets one count for each of REQUEST_BUCKETS_S and one above, not cumulative; their sum may be below
   *   `count` where a request has no duration
   */
  requestDelta(labels: RequestLabels, count: number, durationBuckets: readonly number[], sumSeconds: number): void {
    const { route, version, role, code } = labels
    this.#requests.inc({ route, version, role, code: String(code) }, count)
    this.#requestDuration.add(versionLabels(labels), durationBuckets, sumSeconds)
  }

  /** @param durationBuckets one count for each of INFERENCE_BUCKETS_S and one above, not cumulative */
  inferenceDelta(labels: InferenceLabels, durationBuckets: readonly number[], sumSeconds: number): void {
    this.#inferenceDuration.add(versionLabels(labels), durationBuckets, sumSeconds)
  }

  /**
   * The same requests by the HTTP conventions.
   * @param durationBuckets one count for each of REQUEST_BUCKETS_S and one above, not cumulative
   */
  httpServerDuration(labels: HttpServerLabels, durationBuckets: readonly number[], sumSeconds: number): void {
    this.#httpServerDuration.add(
      httpLabels(labels),
      coarser(durationBuckets, REQUEST_BUCKETS_S, HTTP_SERVER_BUCKETS_S),
      sumSeconds,
    )
  }

  shadowDelta(route: string, version: string, outcome: string, count: number): void {
    this.#shadowRequests.inc({ route, version, outcome }, count)
  }

  comparisonDelta(route: string, candidate: string, result: string, count: number): void {
    this.#comparisons.inc(comparisonLabels(route, candidate, result), count)
  }

  accounting(route: string, candidate: string, account: MirrorAccount): void {
    const add = (state: string, count: number, reason = '') =>
      this.#mirrorRequests.inc({ route, candidate, state, reason }, count)
    add('eligible', account.eligible)
    add('not_sampled', account.notSampled)
    for (const [reason, count] of Object.entries(account.dropped)) add('dropped', count, reason)
    add('failed', account.failed)
    add('compared', account.compared)
    add('lost', account.lost)
    this.#mirrorInFlight.set({ route, candidate }, account.inFlight)
    this.#judged.add(versionKey(route, candidate))
  }

  weight(route: string, version: string, percent: number): void {
    this.#weight.set({ route, version }, percent)
  }

  verdict(route: string, candidate: string, decision: Decision): void {
    for (const verdict of DECISIONS) this.#verdict.set({ route, candidate, verdict }, verdict === decision ? 1 : 0)
    this.#judged.add(versionKey(route, candidate))
  }

  /** Natural logarithm; −Infinity and Infinity are shown as such. */
  logEvalue(route: string, candidate: string, metric: MetricName, value: number): void {
    this.#logEvalue.set({ route, candidate, metric }, value)
    this.#judged.add(versionKey(route, candidate))
  }

  /** @param limit Infinity where the metric cannot abort */
  logEvalueLimit(route: string, candidate: string, metric: MetricName, limit: number): void {
    const labels = { route, candidate, metric }
    this.#judged.add(versionKey(route, candidate))
    if (Number.isFinite(limit)) this.#logEvalueLimit.set(labels, limit)
    else this.#logEvalueLimit.remove(labels)
  }

  /** A version is no candidate any more: what the gate said of it last must not stand for good. */
  forgetVerdict(route: string, candidate: string): void {
    if (!this.#judged.delete(versionKey(route, candidate))) return
    for (const series of [this.#verdict, this.#logEvalue, this.#logEvalueLimit, this.#mirrorInFlight]) {
      series.removeWhere(labels => labels.route === route && labels.candidate === candidate)
    }
  }

  /** @param metric the one that has declined; undefined: none. @param log −Infinity before any evidence */
  decline(route: string, log: number, metric: MetricName | undefined): void {
    this.#declineEvidence.set({ route }, log)
    this.#declined.removeWhere(labels => labels.route === route && labels.metric !== metric)
    if (metric !== undefined) this.#declined.set({ route, metric }, 1)
  }

  reload(result: ReloadResult): void {
    this.#reloads.inc({ result })
  }

  /** A version that is loaded. The digest that the same version had before is forgotten. */
  modelInfo(labels: ModelLabels): void {
    const { model, version, digest, runtime } = labels
    const key = versionKey(model, version)
    const before = this.#models.get(key)
    if (before?.digest === digest && before.runtime === runtime) return
    if (before !== undefined) this.#modelInfo.remove(before)
    const now = { model, version, digest, runtime }
    this.#models.set(key, now)
    this.#modelInfo.set(now, 1)
  }

  ringDrops(reason: string, count: number): void {
    this.#ringDrops.inc({ reason }, count)
  }

  spansDropped(reason: string, count: number): void {
    this.#spansDropped.inc({ reason }, count)
  }

  /** @param outcome of a prediction's span, such as `taken` or `repeated`; of another one `other` or `broken` */
  receivedSpans(route: string, outcome: string, count: number): void {
    this.#receivedSpans.inc({ route, outcome }, count)
  }

  labels(route: string, outcome: string, count = 1): void {
    this.#labels.inc({ route, outcome }, count)
  }

  /** @param outcome delivered, failed (it is tried again), given_up or dropped */
  notified(route: string, event: NotifyEvent, outcome: string): void {
    this.#notifications.inc({ route, event, outcome })
  }

  /** The newest kept request of a bucket; shown in OpenMetrics only. */
  exemplar({ series, exemplar }: SeriesExemplar): void {
    switch (series.of) {
      case 'request':
        this.#requestDuration.exemplar(versionLabels(series), exemplar)
        break
      case 'inference':
        this.#inferenceDuration.exemplar(versionLabels(series), exemplar)
        break
      case 'http':
        this.#httpServerDuration.exemplar(httpLabels(series), exemplar)
        break
      case 'comparison':
        this.#comparisons.exemplar(comparisonLabels(series.route, series.candidate, series.result), exemplar)
    }
  }

  /** How the gateway is now. */
  condition({ ready, configValid, storeUp }: Condition): void {
    this.#ready.set({}, ready ? 1 : 0)
    this.#configValid.set({}, configValid ? 1 : 0)
    this.#storeUp.set({}, storeUp ? 1 : 0)
  }

  /** @param startS seconds since the Unix epoch */
  started(version: string, startS: number): void {
    this.#buildInfo.set({ version }, 1)
    this.#startTime.set({}, startS)
  }

  /** CPU time since the last call, and memory now. */
  process(cpuSeconds: number, residentBytes: number): void {
    this.#cpu.inc({}, cpuSeconds)
    this.#residentMemory.set({}, residentBytes)
  }

  /** Time that a thread was busy since the last call. */
  threadBusy(thread: string, seconds: number): void {
    this.#threadBusy.inc({ thread }, seconds)
  }

  /** Removes a thread that has ended for good: the next one has another name. */
  forgetThread(thread: string): void {
    this.#threadBusy.removeWhere(labels => labels.thread === thread)
  }

  /** Removes everything that names a route that left the configuration. */
  forgetRoute(route: string): void {
    this.#forget(labels => labels.route === route || labels.model === route)
  }

  /** Removes everything that names a version that left the configuration. */
  forgetVersion(route: string, version: string): void {
    this.#forget(
      labels =>
        (labels.route === route || labels.model === route) &&
        (labels.version === version || labels.candidate === version),
    )
  }

  /** The exposition text, with the content type that goes with it. Exemplars stand in OpenMetrics alone. */
  async text(format: MetricsFormat = 'plain'): Promise<{ body: string; contentType: string }> {
    if (format === 'openmetrics') return this.#openMetrics.text()
    return { body: await this.#registry.metrics(), contentType: this.#registry.contentType }
  }

  #forget(matches: (labels: Labels) => boolean): void {
    for (const [key, labels] of this.#models) if (matches(labels)) this.#models.delete(key)
    for (const series of [
      this.#requests,
      this.#requestDuration,
      this.#inferenceDuration,
      this.#shadowRequests,
      this.#comparisons,
      this.#mirrorRequests,
      this.#mirrorInFlight,
      this.#weight,
      this.#verdict,
      this.#logEvalue,
      this.#logEvalueLimit,
      this.#declineEvidence,
      this.#declined,
      this.#modelInfo,
      this.#labels,
      this.#receivedSpans,
      this.#notifications,
    ]) {
      series.removeWhere(matches)
    }
  }

  #counter(name: string, help: string, labelNames: readonly string[]): CounterSeries {
    return this.#shown(new CounterSeries({ registry: this.#registry, name, help, labelNames }))
  }

  #gauge(name: string, help: string, labelNames: readonly string[]): GaugeSeries {
    return this.#shown(new GaugeSeries({ registry: this.#registry, name, help, labelNames }))
  }

  #histogram(name: string, help: string, boundsSeconds: readonly number[]): BucketHistogram {
    return this.#shown(new BucketHistogram({ registry: this.#registry, name, help, boundsSeconds }))
  }

  #shown<Series extends OpenMetricsSource>(series: Series): Series {
    this.#openMetrics.add(series)
    return series
  }
}

/** Labels in the one order that a series knows them by. */
function versionLabels({ route, version, role }: InferenceLabels): Labels {
  return { route, version, role }
}

function httpLabels({ method, route, status, scheme }: HttpServerLabels): Labels {
  return {
    http_request_method: KNOWN_METHODS.has(method) ? method : '_OTHER',
    http_route: route,
    http_response_status_code: String(status),
    url_scheme: scheme ?? 'http',
    ...(status >= 500 && { error_type: String(status) }),
  }
}

function comparisonLabels(route: string, candidate: string, result: string): Labels {
  return { route, candidate, result }
}

function versionKey(route: string, version: string): string {
  return `${route}\0${version}`
}

/** Counts by `fine` bounds as counts by `coarse` ones, which are some of them. Neither is cumulative. */
function coarser(counts: readonly number[], fine: readonly number[], coarse: readonly number[]): number[] {
  const merged = new Array<number>(coarse.length + 1).fill(0)
  let bucket = 0
  counts.forEach((count, index) => {
    while (bucket < coarse.length && (fine[index] ?? Number.POSITIVE_INFINITY) > coarse[bucket]!) bucket += 1
    merged[bucket]! += count
  })
  return merged
}
