// Scenes 1 and 2: a worse version that looks fine is found out in the shadow, and a hand edit cannot bring it on stage.
import type { HistoryEntry } from '../../admin/control.ts'
import { diffText } from '../../config/edit.ts'
import { about, numeral, percentage } from '../../gate/wording.ts'
import type { Report } from '../../report/status.ts'
import { auc, brier, type Scored } from './figures.ts'
import { check, type Play, saveReport, share } from './play.ts'
import { FORCE_HEADER, LIVE, ROUTE, WORSE, withWorseAtHalf } from './policy.ts'

/** Requests that AUC and Brier loss are computed from: the same rows in every run with one seed. */
const LOOKED_AT = 9_000
const PER_SECOND = 900
/** The check that everybody has. */
const FIXED_LIMIT = { errors: 0.01, auc: 0.01 }

/** 1.1.0 in the shadow: equal AUC, no errors, and still aborted. */
export async function playWorse(play: Play): Promise<void> {
  const { tell, world, traffic, flights } = play
  tell.title(`1 · A worse version that looks fine`)
  tell.line(`${WORSE} gets a copy of every request and answers nobody. The truth about each flight follows its answer.`)
  traffic.start(PER_SECOND)
  await world.until(`${WORSE} to be aborted`, 40_000, async () => {
    const route = await world.route()
    const verdict = route.candidates.find(({ version }) => version === WORSE)?.verdict
    const labels = verdict?.metrics.find(({ metric, segment }) => metric === 'labels' && segment === undefined)
    if (labels !== undefined && labels.estimate !== null)
      tell.progress(
        `request ${numeral(traffic.sent)} · ${numeral(labels.n)} labels · Brier loss ${signed(labels.estimate)} · evidence of harm ${about(Math.max(0, labels.logHarm))} of ${about(labels.logHarmNeeded)}`,
      )
    return route.versions.find(({ version }) => version === WORSE)?.latched
  })
  // Read now: a candidate that has left has no report any more.
  const report = (await world.client.get(`/v1/routes/${ROUTE}/report?candidate=${WORSE}`)) as Report
  play.reports.push(await saveReport(world, WORSE, report))
  const request = await requestOfAbort(play)
  await world.until(`${numeral(LOOKED_AT)} answers`, 40_000, async () => {
    tell.progress(
      `aborted at request ${numeral(request)}; traffic goes on for the AUC: ${numeral(traffic.sent)} of ${numeral(LOOKED_AT)} requests`,
      5_000,
    )
    return traffic.answers.length >= LOOKED_AT + 50 ? true : undefined
  })
  await traffic.pause()

  const seen = traffic.answers.filter(({ number }) => number <= LOOKED_AT)
  const answered = seen.filter(({ p, version }) => p !== undefined && version === LIVE)
  const asked = await traffic.ask(
    WORSE,
    FORCE_HEADER,
    answered.map(({ row }) => row),
  )
  const scores = (of: (index: number) => number, origin?: string): Scored[] =>
    answered.flatMap(({ row }, index) => {
      const flight = flights[row]!
      return origin === undefined || flight.origin === origin ? [{ p: of(index), truth: flight.late }] : []
    })
  const live = (index: number) => answered[index]!.p!
  const worse = (index: number) => asked[index]!
  const errors = { live: seen.length - answered.length, worse: await failuresOf(play) }
  const aucs = { live: auc(scores(live)) ?? 0, worse: auc(scores(worse)) ?? 0 }
  const losses = (origin?: string) => [scores(live, origin), scores(worse, origin)].map(each => brier(each) ?? 0)
  const row = (name: string, [a = 0, b = 0]: readonly number[]) => [name, four(a), four(b), signed(b - a)]
  const origins = [...new Set(flights.map(({ origin }) => origin))].sort()

  tell.figures(
    [
      ['failed requests', numeral(errors.live), numeral(errors.worse), ''],
      row('AUC', [aucs.live, aucs.worse]),
      row('Brier loss', losses()),
      ...origins.map(origin => row(`  origin=${origin}`, losses(origin))),
    ],
    [1, 2, 3],
    [`${numeral(answered.length)} flights`, `${LIVE} live`, `${WORSE} shadow`, 'difference'],
  )
  tell.line(
    tell.style.dim(
      `  (${WORSE}'s answers to these rows were asked for afterwards, by the header ${FORCE_HEADER}: never evidence)`,
    ),
  )
  const passes = errors.worse / answered.length <= FIXED_LIMIT.errors && aucs.worse >= aucs.live - FIXED_LIMIT.auc
  tell.line(
    `A fixed limit (errors at most ${percentage(FIXED_LIMIT.errors)}, AUC at most ${FIXED_LIMIT.auc} lower) says: ${passes ? tell.style.good('pass') : tell.style.bad('fail')}`,
  )
  tell.line(`Understudy says: ${tell.style.bad('abort')}, at request ${numeral(request)}`)
  const latched = (await world.route()).versions.find(({ version }) => version === WORSE)?.latched
  tell.quote(latched?.reason ?? '')
  play.figures.worse = {
    requestOfAbort: request,
    flights: answered.length,
    errors,
    auc: aucs,
    brier: losses(),
    reason: latched?.reason,
  }

  check(
    play,
    aucs.worse >= aucs.live - FIXED_LIMIT.auc,
    `an AUC at most ${FIXED_LIMIT.auc} below live’s`,
    `${four(aucs.live)} and ${four(aucs.worse)}`,
  )
  check(play, errors.live + errors.worse === 0, 'no failed request', `${errors.live} and ${errors.worse} failed`)
  check(play, passes, 'a fixed limit that passes it', passes ? 'pass' : 'fail')
  check(play, latched?.kind === 'abort', 'an abort', latched?.kind ?? 'no latch')
  check(play, /brier/i.test(latched?.reason ?? ''), 'the Brier loss named', latched?.reason ?? '')
  check(play, /origin=EWR/.test(latched?.reason ?? ''), 'origin=EWR named', latched?.reason ?? '')
}

/** routes.yaml is edited to give the aborted version half of the traffic. */
export async function playHeld(play: Play): Promise<void> {
  const { tell, world, traffic } = play
  tell.title(`2 · A hand edit gives it half of the traffic`)
  const edit = await world.edit(withWorseAtHalf)
  tell.diff(diffText(edit.before, edit.after))
  const from = traffic.answers.length
  traffic.start(PER_SECOND)
  const held = await world.until(`the raise of ${WORSE} to be held`, 10_000, async () =>
    (await world.route()).held.find(({ version }) => version === WORSE),
  )
  await world.until('1,000 more answers', 20_000, async () => {
    tell.progress(`request ${numeral(traffic.sent)}`, 10_000)
    return traffic.answers.length - from >= 1_000 ? true : undefined
  })
  await traffic.pause()
  const since = traffic.answers.slice(from)
  const byWorse = since.filter(({ version }) => version === WORSE).length
  tell.line(`${tell.style.warn('held')}: asked for ${share(held.wanted)}, has ${share(held.allowed)}. Status says why:`)
  tell.quote(held.reason)
  tell.line(`${numeral(byWorse)} of the next ${numeral(since.length)} requests were answered by ${WORSE}.`)
  play.figures.held = {
    wanted: held.wanted,
    allowed: held.allowed,
    reason: held.reason,
    answered: byWorse,
    of: since.length,
  }
  check(play, held.allowed === 0 && byWorse === 0, `${WORSE} without traffic`, `${held.allowed} %, ${byWorse} answers`)
  check(play, /abort/.test(held.reason), 'the abort as the reason', held.reason)
  await world.edit(() => edit.before)
  tell.line(tell.style.dim('(the edit is taken back)'))
}

/** How many requests had been answered when the gate's abort was written down. */
async function requestOfAbort({ world, traffic }: Play): Promise<number> {
  const { entries } = (await world.client.get(`/v1/history?route=${ROUTE}`)) as { entries: readonly HistoryEntry[] }
  const abort = entries.find(({ kind, to }) => kind === 'abort' && (to === undefined || to === WORSE))
  const at = abort === undefined ? Date.now() : Date.parse(abort.at)
  return traffic.answers.filter(answer => answer.at <= at).length
}

/** Copies that the worse version failed, once as many are settled as were looked at: an aborted shadow stays mirrored. */
async function failuresOf({ world }: Play): Promise<number> {
  const account = await world.until(`${numeral(LOOKED_AT)} copies to be settled`, 10_000, async () => {
    const found = (await world.route()).candidates.find(({ version }) => version === WORSE)?.account
    return found !== undefined && found.compared + failed(found) >= LOOKED_AT ? found : undefined
  })
  return failed(account)
}

function failed(account: Report['account']): number {
  return Object.values(account.failed).reduce((sum, amount) => sum + amount, 0)
}

function four(value: number): string {
  return value.toFixed(4)
}

function signed(value: number): string {
  return `${value < 0 ? '−' : '+'}${Math.abs(value).toFixed(4)}`
}
