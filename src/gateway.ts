// The composition root of the control thread: state, threads, evidence, configuration, gate and admin, wired together.
import { readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { resolve } from 'node:path'
import { startAdmin } from './admin/server.ts'
import { loadRoutes } from './config/load.ts'
import { noticesOfRoute } from './config/notices.ts'
import { listenAddress } from './config/units.ts'
import { type RoutesWatch, watchRoutes } from './config/watch.ts'
import { whyUnwritable, writeAtomically } from './config/write.ts'
import { ControlActions } from './control/actions.ts'
import { Automatic } from './control/automatic.ts'
import { Cycle, PENDING_KEPT } from './control/cycle.ts'
import { Decline } from './control/decline.ts'
import { Desired } from './control/desired.ts'
import { EpochCollector } from './control/epochs.ts'
import { EvidenceBook } from './control/evidence.ts'
import { VerdictHistory } from './control/history.ts'
import { Identities } from './control/identity.ts'
import { Labels } from './control/labels.ts'
import { Meters } from './control/meters.ts'
import { ModelRegistry } from './control/models.ts'
import { Notifier } from './control/notifier.ts'
import { Salts } from './control/salts.ts'
import { SeenUnits } from './control/seenUnits.ts'
import { SHADOW, Threads } from './control/threads.ts'
import { Traces } from './control/traces.ts'
import { Verdicts } from './control/verdicts.ts'
import { Vitals } from './control/vitals.ts'
import { messageOf, UnderstudyError } from './errors.ts'
import { createPoster } from './notify/post.ts'
import { EPOCH_MS, epochAt, monotonicMs } from './record/clock.ts'
import { waiverOf } from './rollout/override.ts'
import type { RolloutPorts } from './rollout/ports.ts'
import { recover } from './rollout/promote.ts'
import { reload } from './rollout/reload.ts'
import type { FromServing } from './serving/message.ts'
import type { FromShadow } from './shadow/message.ts'
import { openMemoryStore } from './state/memory.ts'
import { openSqliteStore, openStateLock } from './state/sqlite.ts'
import type { Logger } from './telemetry/log.ts'
import { Metrics } from './telemetry/metrics.ts'
import { VERSION } from './version.ts'

export interface GatewayOptions {
  readonly routesFile: string
  /** Folder of the state; `none`: nothing outlives the process. */
  readonly stateDir: string
  /** Overrides `listen` and `admin.listen`, host:port. */
  readonly listen?: string | undefined
  readonly admin?: string | undefined
  readonly threads?: number | undefined
  /** Accept the file's weights as they are, on record. */
  readonly adopt?: boolean | undefined
  readonly log: Logger
}

export interface RunningGateway {
  readonly dataPort: number
  readonly adminPort: number
  /** Drains, flushes and ends every thread and process. */
  stop(): Promise<void>
}

/**
 * Starts a gateway: state lock, configuration, threads, admin listener, in that order. What was begun is ended again,
 * last first, when a step fails or the gateway is told to stop.
 * @throws UnderstudyError BAD_CONFIGURATION, STATE_IN_USE, STATE_FAILED
 */
export async function startGateway(options: GatewayOptions): Promise<RunningGateway> {
  const endings: Ending[] = []
  let stopped: Promise<void> | undefined
  const stop = () => (stopped ??= endAll(endings, options.log))
  try {
    return { ...(await start(options, endings)), stop }
  } catch (error) {
    await stop()
    throw error
  }
}

/** How something that was begun is ended, and what to say when that fails. */
type Ending = readonly [failure: string, end: () => unknown]

/** Whatever does not end in order: what was counted is kept, and the state folder is free again. */
async function endAll(endings: readonly Ending[], log: Logger): Promise<void> {
  for (const [failure, end] of endings.toReversed()) {
    try {
      await end()
    } catch (error) {
      log.error(`${failure}: ${messageOf(error)}`)
    }
  }
}

async function start(options: GatewayOptions, endings: Ending[]): Promise<Omit<RunningGateway, 'stop'>> {
  const { stateDir, adopt, log } = options
  const routesFile = resolve(options.routesFile)
  const startedAt = Date.now()
  const originMs = monotonicMs()
  // By the clock of the start: a wall clock that is set meanwhile moves no exposure and no label.
  const now = () => Math.round(startedAt + monotonicMs() - originMs)
  const loaded = loadRoutes(routesFile)
  const { config } = loaded

  // Before anything listens: a second gateway on this state would silently take half of the traffic.
  if (stateDir !== 'none') {
    const lock = openStateLock(stateDir)
    endings.push(['the state folder is not released', () => lock.release()])
  }
  const store = stateDir === 'none' ? openMemoryStore() : openSqliteStore(stateDir)
  endings.push(['the state store did not close', () => store.close()])

  const collector = new EpochCollector()
  const meters = new Meters(new Metrics(), (route, version) => traces.inFlight(route, version))
  const book = new EvidenceBook(store, (route, version, digest) =>
    waiverOf(desired.standing?.change.resolutions[route]?.state ?? null, version, digest, now()),
  )
  const verdicts = new Verdicts(book)
  const history = new VerdictHistory(book, key => store.value(key))
  const seenUnits = new SeenUnits(store)
  const labels = new Labels({
    store,
    compareDigestOf: key => book.compareDigestOf(key),
    // The start of the newest epoch rather than its end: admission and answer are timed a moment apart.
    settledMs: () => startedAt + collector.released * EPOCH_MS,
    onOutcome: (route, outcome) => meters.metrics.labels(route, outcome),
    armsKept: PENDING_KEPT,
  })
  const identities = new Identities(store, key => void desired.reread(`${key} names another build`))
  const notifier = new Notifier({
    store,
    keepValue: (key, value) => book.keepValue(key, value),
    poster: createPoster(`understudy/${VERSION}`),
    metrics: meters.metrics,
    log,
    now,
  })
  let watch: RoutesWatch | undefined

  const ports: RolloutPorts = {
    store,
    fileName: options.routesFile,
    readFile: () => readFileSync(routesFile, 'utf8'),
    writeFile: text => writeAtomically(routesFile, text),
    current: () => desired.loaded,
    digests: (route, versions) => models.inspect(desired.modelsFolder(), route, versions),
    verdictNow: (route, version, next) => cycle.verdictNow(route, version, next),
    apply: change => desired.apply(change),
    now,
  }
  const automatic = new Automatic({
    raise: raise => control.raise(raise),
    unwritable: () => whyUnwritable(routesFile),
    standing: () => desired.standing,
    log,
    now,
  })
  const decline = new Decline({
    book,
    store,
    ports,
    metrics: meters.metrics,
    takeAnswers: () => meters.takeAnswers(),
    notifier,
    log,
    standing: () => desired.standing,
    now,
  })
  const traces = new Traces({
    snapshot: () => desired.standing?.snapshot,
    metrics: meters.metrics,
    originMs,
    now,
  })
  const cycle = new Cycle({
    collector,
    traces,
    book,
    labels,
    meters,
    verdicts,
    history,
    models: () => models,
    seenUnits,
    ports,
    notifier,
    decline,
    automatic,
    log,
    config: () => desired.loaded.config,
    standing: () => desired.standing,
    now,
  })
  endings.push(['what was counted last is not kept', () => cycle.keep()])
  endings.push(['the identities are still polled', () => identities.close()])

  const fromThread = (thread: string, message: FromServing | FromShadow) => {
    if (message.kind !== 'applied') return
    for (const { version, message: why } of message.broken) log.error({ thread, version }, `takes no traffic: ${why}`)
  }
  // Labels that the admin listener waits for are answered by a commit, so it closes between two of them.
  let closeAdmin: (() => Promise<void>) | undefined
  endings.push(['the admin listener did not close', () => closeAdmin?.()])
  endings.push(['what was counted is not kept', () => cycle.keep()])
  endings.push(['the webhooks are still told', () => notifier.stop()])
  endings.push(['the cycle did not stop', () => cycle.stop()])
  let serves = false
  const threads = new Threads({
    ...listenOn(options.listen, config.listen),
    // The other half is for the shadow thread, the scoring processes and control.
    serving: options.threads ?? Math.max(1, Math.floor(availableParallelism() / 2)),
    ringBytes: config.mirror.ring,
    originMs,
    wallShiftMs: startedAt - originMs,
    events: {
      serving: (thread, message) => {
        fromThread(thread, message)
        if (message.kind === 'tick') {
          collector.post(thread, message.post)
          meters.served(thread, message)
        } else if (message.kind === 'ask') {
          const answer =
            message.what === 'statistics'
              ? Promise.resolve({ status: 200, body: meters.statistics() })
              : labels.submit(message.body, desired.loaded.config, now())
          void answer.then(said => threads.answer(thread, message.call, said))
        }
      },
      shadow: message => {
        fromThread(SHADOW, message)
        if (message.kind !== 'tick') return
        collector.post(SHADOW, message.post)
        meters.shadowed(message)
      },
      joined: thread => collector.join(thread, epochAt(monotonicMs(), originMs) - 1),
      died: (thread, error) => {
        log.error({ thread, err: error }, 'a thread died and is started again')
        meters.ended(thread)
        collector.died(thread, epochAt(monotonicMs(), originMs), thread === SHADOW)
      },
      late: (thread, message) => log.error({ thread }, message),
    },
  })
  endings.push([
    'the threads did not end in order',
    () => threads.stop(serves ? config.drain.delay : 0, config.drain.deadline),
  ])
  const models = new ModelRegistry({
    verify: model => threads.verify(model),
    identities,
    warn: message => log.warn(message),
  })
  const desired = new Desired({
    routesFile,
    loaded,
    store,
    ports,
    threads,
    models,
    identities,
    book,
    verdicts,
    salts: new Salts(store),
    seenUnits,
    meters,
    notifier,
    log,
    known: hash => watch?.known(hash),
    now,
  })
  recover(ports, Object.keys(config.routes), loaded.hash)
  const who = adopt ? 'serve --adopt' : 'start'
  const { resolutions } = await reload(ports, loaded, { who, adopt: adopt ?? false })
  serves = true
  desired.tellHeld(resolutions)

  const control = new ControlActions({
    ports,
    store,
    book,
    verdicts,
    history,
    models,
    labels,
    meters,
    vitals: new Vitals({ metrics: meters.metrics, startedAt, loops: () => threads.loops() }),
    standing: () => desired.standing!,
    facts: () => ({
      startedAt,
      revision: desired.revision,
      servingThreads: threads.servingCount,
      listen: `${config.listen.host}:${threads.port}`,
      file: options.routesFile,
      configurationError: desired.configurationError,
      storeError: cycle.storeError,
      mirrorOff: route => desired.isMirrorOff(route),
      notices: route => noticesOf(route),
      automatic: route => automatic.status(route),
      holdback: route => decline.holdbackStatus(route),
      decline: route => decline.declineStatus(route),
    }),
    setMirror: (on, route) => desired.setMirror(on, route),
    takeSpans: spans => traces.take(spans),
    submitLabels: body => labels.submit(body, desired.loaded.config, now()),
    promoted: promotion => threads.promoted(promotion),
    remembered: (requestId, route) => threads.explain(requestId, route),
  })
  /** What a person must know of a route beside what the lock says. */
  const noticesOf = (route: string): readonly string[] => {
    const configured = desired.loaded.config.routes[route]
    const seen = configured?.sticky === undefined ? undefined : seenUnits.notice(route)
    const { cut, arms } = labels.counts(route, desired.loaded.config, now())
    const tooMany = `predictions were given up before their label could come: ${cut}, beyond the newest ${PENDING_KEPT} of a candidate`
    const own = configured === undefined ? [] : noticesOfRoute(configured, now())
    const sample = `live answers that wait for no label: ${arms?.cut}, of both arms alike, since more than ${PENDING_KEPT} would wait or their settings were changed`
    return [
      ...own,
      ...traces.notices(route),
      ...decline.notices(route),
      ...(seen === undefined ? [] : [seen]),
      ...(cut > 0 ? [tooMany] : []),
      ...(arms !== undefined && arms.cut > 0 ? [sample] : []),
      ...notifier.notices(route),
    ]
  }
  const admin = await startAdmin({
    ...listenOn(options.admin, config.admin.listen),
    token: config.admin.token,
    control,
    onInternalError: error => log.error({ err: error }, 'the admin API failed'),
  })
  closeAdmin = () => admin.close()
  cycle.start()
  watch = watchRoutes(routesFile, {
    hash: desired.loaded.hash,
    onChange: edited => void desired.edited(edited),
    onInvalid: (error, hash) => desired.refused(error, hash),
  })
  endings.push(['routes.yaml is still watched', () => watch?.close()])
  return { dataPort: threads.port, adminPort: admin.port }
}

function listenOn(text: string | undefined, otherwise: { host: string; port: number }): { host: string; port: number } {
  if (text === undefined) return otherwise
  const parsed = listenAddress.safeParse(text)
  if (!parsed.success) throw new UnderstudyError('BAD_CONFIGURATION', `${text}: expected host:port`)
  return parsed.data
}
