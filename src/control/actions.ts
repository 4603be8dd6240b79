// What the admin API may ask: changes go to the rollout, questions are answered from what stands.
import type { ChangeResult, Control, HistoryEntry, Request } from '../admin/control.ts'
import { UnderstudyError } from '../errors.ts'
import type { ReadonlyCounters } from '../evidence/counters.ts'
import type { Evidence, Policy, Verdict } from '../gate/evidence.ts'
import { evidenceFile } from '../report/evidenceFile.ts'
import { accountWithInFlight, buildReport, latencyOf } from '../report/report.ts'
import {
  type AutomaticStatus,
  type CandidateStatus,
  type DeclineStatus,
  type HoldbackStatus,
  type Report,
  type RouteStatus,
  STATUS_VERSION,
  type Status,
  type VersionStatus,
} from '../report/status.ts'
import { type Rates, type TimeToVerdict, timeToVerdict } from '../report/timeToVerdict.ts'
import type { Automatic } from '../rollout/automatic.ts'
import { heldNow } from '../rollout/lock.ts'
import { history } from '../rollout/log.ts'
import { pause, resume } from '../rollout/pause.ts'
import type { Change, RolloutPorts } from '../rollout/ports.ts'
import { type ActionRequest, type ActionResult, promote, setWeight } from '../rollout/promote.ts'
import { recordLater } from '../rollout/record.ts'
import { abort, clear, rollback } from '../rollout/rollback.ts'
import type { Snapshot, SnapshotRoute } from '../rollout/snapshot.ts'
import type { Found } from '../shadow/explanation.ts'
import type { Promotion } from '../shadow/message.ts'
import type { StateStore } from '../state/store.ts'
import type { PartialSuccess } from '../telemetry/exportAnswer.ts'
import type { MetricsFormat } from '../telemetry/metrics.ts'
import type { ReadSpan } from '../telemetry/readSpans.ts'
import type { Raise } from './automatic.ts'
import type { EvidenceBook } from './evidence.ts'
import { explainRequest } from './explain.ts'
import type { VerdictHistory } from './history.ts'
import type { LabelAnswer, Labels } from './labels.ts'
import type { Meters } from './meters.ts'
import type { KnownVersion, ModelRegistry } from './models.ts'
import { comparedOutputs } from './snapshot.ts'
import type { Verdicts } from './verdicts.ts'
import type { Vitals } from './vitals.ts'

/** What only the composition root knows. */
export interface GatewayFacts {
  readonly startedAt: number
  readonly revision: number
  readonly servingThreads: number
  readonly listen: string
  readonly file: string
  readonly configurationError: string | undefined
  readonly storeError: string | undefined
  readonly mirrorOff: (route: string) => boolean
  readonly notices: (route: string) => readonly string[]
  readonly automatic: (route: string) => AutomaticStatus | undefined
  readonly holdback: (route: string) => HoldbackStatus | undefined
  readonly decline: (route: string) => DeclineStatus | undefined
}

export interface ControlParts {
  readonly ports: RolloutPorts
  readonly store: StateStore
  readonly book: EvidenceBook
  readonly verdicts: Verdicts
  readonly history: VerdictHistory
  readonly models: ModelRegistry
  readonly labels: Labels
  readonly meters: Meters
  readonly vitals: Vitals
  readonly standing: () => { readonly change: Change; readonly snapshot: Snapshot; readonly loadedAt: number }
  readonly facts: () => GatewayFacts
  readonly setMirror: (on: boolean, route: string | undefined) => Promise<void>
  readonly submitLabels: (body: Uint8Array) => Promise<LabelAnswer>
  readonly takeSpans: (spans: Iterable<ReadSpan | undefined>) => Promise<PartialSuccess>
  readonly promoted: (promotion: Promotion) => void
  /** What the shadow thread remembers of a request. */
  readonly remembered: (requestId: string, route: string | undefined) => Promise<Found>
}

const ROUTE_IT_YOURSELF = 'its traffic is served elsewhere: whoever routes it must follow'

type Action = ChangeResult['action']

export class ControlActions implements Control {
  readonly #parts: ControlParts

  constructor(parts: ControlParts) {
    this.#parts = parts
  }

  status(): Status {
    const { standing, facts } = this.#parts
    const { snapshot, change, loadedAt } = standing()
    const { startedAt, revision, servingThreads, listen, file, configurationError, storeError } = facts()
    return {
      statusVersion: STATUS_VERSION,
      ready: this.ready(),
      revision,
      startedAt: new Date(startedAt).toISOString(),
      uptimeMs: this.#parts.ports.now() - startedAt,
      servingThreads,
      listen,
      configuration: {
        file,
        hash: change.loaded.hash,
        loadedAt: new Date(loadedAt).toISOString(),
        error: configurationError,
      },
      store: { ok: storeError === undefined, message: storeError },
      routes: snapshot.routes.map(route => this.#routeStatus(route)),
    }
  }

  report(routeName: string, candidate: string | undefined): Report {
    const { route, version, verdict, evidence } = this.#candidate(routeName, candidate)
    const { models, book, meters, verdicts, history, ports } = this.#parts
    const periods = book.periods(route.name, version)
    const started = new Map(periods.map(({ key, startedAt }) => [key, new Date(startedAt).toISOString()]))
    const baseline = models.known(route.name, evidence.baseline.version)
    const known = models.known(route.name, version)
    const open = periods.at(-1)
    const perSecond = verdicts.rates(route.name, version)
    const report = buildReport({
      evidence: {
        ...evidence,
        periods: evidence.periods.map(period => {
          const startedAt = started.get(period.key)
          return startedAt === undefined ? period : { ...period, startedAt }
        }),
      },
      verdict,
      manifests: { baseline: baseline?.manifest, candidate: known?.manifest },
      known: { baseline: factsOf(baseline), candidate: factsOf(known) },
      generatedAt: new Date().toISOString(),
      inFlight: meters.inFlight(route.name, version),
      history: open === undefined ? [] : history.of(verdict, open, ports.now()),
      policy: this.#policy(route.name),
    })
    return { ...report, timeToVerdict: this.#timeToVerdict(evidence, route.name, verdict, perSecond) }
  }

  gate(route: string, candidate: string | undefined): Verdict {
    return this.#candidate(route, candidate).verdict
  }

  evidence(routeName: string, candidate: string | undefined): { evidence: unknown; policy: unknown } {
    const { route, evidence } = this.#candidate(routeName, candidate)
    const config = this.#parts.standing().change.loaded.config.routes[route.name]!
    return evidenceFile(evidence, config, comparedOutputs(config))
  }

  explain(requestId: string, route: string | undefined): Promise<Found> {
    const { remembered, labels, standing } = this.#parts
    return explainRequest({ ask: remembered, labels, standing }, requestId, route)
  }

  promote(routeName: string, candidate: string | undefined, request: Request): Promise<ChangeResult> {
    return this.#promote(routeName, candidate, request)
  }

  /** The raise of a route with `mode: auto`: what a person's promote does, if nothing has changed since it was decided. */
  async raise({ route, version, from, reason }: Raise): Promise<void> {
    const request = { who: 'auto', reason, dryRun: false, idempotencyKey: undefined }
    await this.#promote(route, version, request, { from })
  }

  #promote(
    routeName: string,
    candidate: string | undefined,
    request: Request,
    automatic?: Automatic,
  ): Promise<ChangeResult> {
    const { route, version, verdict } = this.#candidate(routeName, candidate)
    return this.#change('promote', route.name, request, async (ports, action) => {
      const result = await promote(ports, { ...action, version, ...(automatic === undefined ? {} : { automatic }) })
      if (result.outcome === 'applied') {
        this.#parts.promoted({
          route: route.name,
          who: request.who,
          from: `${route.live}`,
          to: version,
          evidenceDigest: verdict.evidenceDigest,
        })
      }
      return result
    })
  }

  rollback(route: string, request: Request): Promise<ChangeResult> {
    return this.#change('rollback', route, request, (ports, action) => rollback(ports, action))
  }

  abort(route: string, version: string, request: Request): Promise<ChangeResult> {
    return this.#change('abort', route, request, (ports, action) => abort(ports, { ...action, version }))
  }

  clear(route: string, version: string, request: Request): Promise<ChangeResult> {
    return this.#change('clear', route, request, (ports, action) => clear(ports, { ...action, version }))
  }

  pause(route: string, request: Request): Promise<ChangeResult> {
    return this.#change('pause', route, request, (ports, action) => pause(ports, action))
  }

  resume(route: string, request: Request): Promise<ChangeResult> {
    return this.#change('resume', route, request, (ports, action) => resume(ports, action))
  }

  setWeight(route: string, version: string, weight: number, request: Request): Promise<ChangeResult> {
    return this.#change('set-weight', route, request, (ports, action) =>
      setWeight(ports, { ...action, version, weight }),
    )
  }

  async mirror(on: boolean, route: string | undefined, request: Request): Promise<void> {
    const routes = route === undefined ? this.#routes().map(({ name }) => name) : [this.#route(route).name]
    if (request.dryRun) return
    await this.#parts.setMirror(on, route)
    for (const name of routes) {
      recordLater(this.#parts.ports, name, {
        kind: 'mirror',
        phase: 'applied',
        who: request.who,
        reason: request.reason,
        to: on ? 'on' : 'off',
      })
    }
  }

  history(route: string | undefined, last: number): readonly HistoryEntry[] {
    if (route !== undefined) this.#route(route)
    return history(this.#parts.store)
      .filter(entry => route === undefined || entry.route === route)
      .slice(-last)
      .map(({ at, kind, who, from, to, version, reason, evidenceDigest, phase, route: name }) => ({
        at: new Date(at).toISOString(),
        route: name,
        kind,
        version,
        who,
        from,
        to: to ?? version,
        reason,
        evidenceDigest,
        phase,
      }))
  }

  labels(body: Uint8Array): Promise<LabelAnswer> {
    return this.#parts.submitLabels(body)
  }

  traces(spans: Iterable<ReadSpan | undefined>): Promise<PartialSuccess> {
    return this.#parts.takeSpans(spans)
  }

  metrics(format: MetricsFormat): Promise<{ body: string; contentType: string }> {
    const { configurationError, storeError } = this.#parts.facts()
    this.#parts.meters.settle()
    return this.#parts.vitals.text(format, {
      ready: this.ready(),
      configValid: configurationError === undefined,
      storeUp: storeError === undefined,
    })
  }

  ready(): boolean {
    return this.#routes().every(
      route => route.versions.find(({ version }) => version === route.live)?.broken === undefined,
    )
  }

  async #change(
    action: Action,
    routeName: string,
    request: Request,
    act: (ports: RolloutPorts, action: ActionRequest) => Promise<ActionResult>,
  ): Promise<ChangeResult> {
    const { name } = this.#route(routeName)
    const before = this.#weights(name)
    const startedMs = performance.now()
    const { who, reason, dryRun, idempotencyKey } = request
    const result = await act(this.#parts.ports, {
      route: name,
      who,
      reason,
      dryRun,
      ...(idempotencyKey === undefined ? {} : { key: idempotencyKey }),
    })
    if (result.outcome === 'patch') {
      const why = result.problems[0] ?? 'rollout.write is patch'
      throw new UnderstudyError(
        'CONFLICT',
        `nothing was applied (${why}); apply this patch to routes.yaml yourself:\n${result.diff}`,
      )
    }
    const planned = result.resolution?.weights ?? before
    const after = dryRun ? planned : this.#weights(name)
    const changed = Object.keys({ ...before, ...after })
      .filter(version => before[version] !== after[version])
      .map(version => `${version} ${before[version] ?? 0} → ${after[version] ?? 0} %`)
      .join(', ')
    const outcome = { applied: 'done', 'dry-run': 'would be done', repeated: 'was done before' }[result.outcome]
    const summary = [
      `${action} of ${name} ${outcome}: ${changed || 'no share changed'}`,
      ...(changed !== '' && this.#route(name).spans !== undefined ? [ROUTE_IT_YOURSELF] : []),
      ...result.problems,
    ].join('; ')
    return {
      route: name,
      action,
      dryRun,
      applied: result.outcome === 'applied',
      summary,
      diff: result.diff,
      before,
      after,
      elapsedMs: performance.now() - startedMs,
    }
  }

  #routeStatus(route: SnapshotRoute): RouteStatus {
    const { standing, labels, facts, ports } = this.#parts
    const { change } = standing()
    const resolution = change.resolutions[route.name]!
    const automatic = facts().automatic(route.name)
    const holdback = facts().holdback(route.name)
    const decline = facts().decline(route.name)
    const config = change.loaded.config.routes[route.name]
    const candidates = route.versions.flatMap(({ version, evidenceKey }) =>
      evidenceKey === undefined ? [] : (this.#candidateStatus(route, version) ?? []),
    )
    const verdicts = Object.fromEntries(candidates.map(({ version, verdict }) => [version, verdict]))
    const digests = Object.fromEntries(
      route.versions.map(({ version, digest, broken }) => [version, broken === undefined ? digest : undefined]),
    )
    return {
      name: route.name,
      live: route.live,
      versions: route.versions.map(version => this.#versionStatus(route, version.version)),
      held: config === undefined ? resolution.held : heldNow(resolution, { route: config, digests, verdicts }),
      ...(automatic === undefined ? {} : { automatic }),
      ...(holdback === undefined ? {} : { holdback }),
      ...(decline === undefined ? {} : { decline }),
      notices: [...resolution.notices, ...facts().notices(route.name)],
      candidates,
      mirror: facts().mirrorOff(route.name) ? 'off' : 'on',
      labels: config?.labels === undefined ? undefined : labels.counts(route.name, change.loaded.config, ports.now()),
    }
  }

  #versionStatus(route: SnapshotRoute, version: string): VersionStatus {
    const { standing, models, book } = this.#parts
    const resolution = standing().change.resolutions[route.name]!
    const wanted = standing().change.loaded.config.routes[route.name]?.versions[version]
    const known = models.known(route.name, version)
    const weight = resolution.weights[version] ?? 0
    const shadowPercent = wanted?.shadow.percent ?? 0
    const latch = known?.digest === undefined ? undefined : resolution.state.latches[known.digest]
    const roleOf = (): VersionStatus['role'] => {
      if (version === route.live) return 'live'
      if (version === book.holdback(route.name)?.version) return 'holdback'
      if (weight > 0) return 'canary'
      return shadowPercent > 0 ? 'shadow' : 'idle'
    }
    return {
      version,
      digest: known?.digest,
      target: known?.described ?? '',
      identityVerified: known?.identityVerified ?? false,
      role: roleOf(),
      weight,
      wanted: wanted?.weight ?? 0,
      shadowPercent,
      broken: known?.broken,
      latched: latch === undefined ? undefined : { kind: latch.kind, reason: latch.reason },
    }
  }

  #candidateStatus(route: SnapshotRoute, version: string): CandidateStatus | undefined {
    const { ports, meters, verdicts } = this.#parts
    const verdict = ports.verdictNow(route.name, version)
    if (verdict === undefined) return undefined
    const { total, evidence } = this.#counted(route.name, version)
    const perSecond = verdicts.rates(route.name, version)
    return {
      version,
      verdict,
      account: accountWithInFlight(total, meters.inFlight(route.name, version)),
      latency: latencyOf(evidence?.periods ?? [], verdict.stage),
      perSecond,
      ...(evidence !== undefined && {
        timeToVerdict: this.#timeToVerdict(evidence, route.name, verdict, perSecond),
      }),
    }
  }

  #timeToVerdict(evidence: Evidence, route: string, verdict: Verdict, perSecond: Rates): TimeToVerdict | undefined {
    const { verdicts } = this.#parts
    return timeToVerdict(evidence, this.#policy(route), verdict, perSecond, (...asked) => verdicts.judge(...asked))
  }

  /** Nothing while the store cannot be read: a status is asked for then most of all. */
  #counted(route: string, version: string): { total: ReadonlyCounters; evidence: Evidence | undefined } {
    try {
      const { book } = this.#parts
      return { total: book.total(route, version), evidence: book.evidence(route, version) }
    } catch {
      return { total: new Map(), evidence: undefined }
    }
  }

  /** The candidate that is meant: the named one, or the only one. @throws UNKNOWN_MODEL, UNKNOWN_CANDIDATE */
  #candidate(
    routeName: string,
    name: string | undefined,
  ): { route: SnapshotRoute; version: string; verdict: Verdict; evidence: Evidence } {
    const route = this.#route(routeName)
    const holdback = this.#parts.book.holdback(route.name)?.version
    const candidates = route.versions
      .filter(({ version, evidenceKey }) => evidenceKey !== undefined && version !== holdback)
      .map(({ version }) => version)
    if (name === undefined && candidates.length !== 1) {
      const which = candidates.length === 0 ? 'it has none' : `name one of ${candidates.join(', ')}`
      throw new UnderstudyError(
        'UNKNOWN_CANDIDATE',
        `route "${route.name}" has ${candidates.length} candidates: ${which}`,
      )
    }
    const version = name ?? candidates[0]!
    if (!route.versions.some(each => each.version === version)) {
      throw new UnderstudyError('UNKNOWN_VERSION', `route "${route.name}" has no version "${version.slice(0, 128)}"`)
    }
    const { ports, book } = this.#parts
    const verdict = ports.verdictNow(route.name, version)
    const evidence = book.evidence(route.name, version)
    if (verdict === undefined || evidence === undefined) {
      throw new UnderstudyError(
        'UNKNOWN_CANDIDATE',
        `version "${version}" of "${route.name}" is no candidate: ${version === holdback ? 'it is the holdback' : 'it has neither weight nor shadow, or it is live'}`,
      )
    }
    return { route, version, verdict, evidence }
  }

  #routes(): readonly SnapshotRoute[] {
    return this.#parts.standing().snapshot.routes
  }

  #route(name: string): SnapshotRoute {
    const route = this.#routes().find(each => each.name === name)
    if (route === undefined) throw new UnderstudyError('UNKNOWN_MODEL', `there is no route "${name.slice(0, 128)}"`)
    return route
  }

  #policy(route: string): Policy {
    return this.#parts.standing().change.loaded.config.routes[route]!
  }

  #weights(route: string): Record<string, number> {
    return { ...this.#parts.standing().change.resolutions[route]?.weights }
  }
}

function factsOf(known: KnownVersion | undefined): { target: string; identityVerified: boolean } {
  return { target: known?.described ?? '', identityVerified: known?.identityVerified ?? false }
}
