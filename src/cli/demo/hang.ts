// Scene 4: a shadow that never answers costs live traffic nothing, and one command goes back to the version before.
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as wait } from 'node:timers/promises'
import type { ChangeResult } from '../../admin/control.ts'
import { diffText } from '../../config/edit.ts'
import { about, numeral } from '../../gate/wording.ts'
import type { CandidateStatus } from '../../report/status.ts'
import { newIdempotencyKey } from '../context.ts'
import { median, quantile } from './figures.ts'
import { check, type Play } from './play.ts'
import { BETTER, HANGING, LIVE, ROUTE, withHangingShadow } from './policy.ts'

/** Below what the machine takes, so that latency tells of the gateway and not of a queue before it. */
const PER_SECOND = 400
const PAIRS = 13
const SETTLE_MS = 250
const MEASURE_MS = 500
/** Deadline of the shadow's copies, and then some for their count to be settled. */
const SETTLED_MS = 1_600
/** The shadow hangs for 1 s and more: live that waited for it would be far beyond this. */
const MOST_ADDED_MS = 25

export async function playHang(play: Play): Promise<void> {
  const { tell, world, traffic } = play
  tell.title(`4 · A shadow hangs`)
  const server = await hangingServer()
  try {
    const { before, after } = await world.edit(text => withHangingShadow(text, server.url))
    tell.diff(diffText(before, after))
    tell.line(
      'It accepts every request and never answers. Mirroring is switched off and on in turn, and live p99 taken of each.',
    )
    traffic.start(PER_SECOND)
    const off: number[][] = []
    const on: number[][] = []
    for (let pair = 0; pair < PAIRS; pair++) {
      // Which one comes first alternates, so that a drift of the machine favours neither.
      for (const mirrored of pair % 2 === 0 ? [false, true] : [true, false]) {
        ;(mirrored ? on : off).push(await block(play, mirrored))
      }
      tell.progress(
        `pair ${pair + 1} of ${PAIRS}: p99 ${ms(p99(off[pair]!))} without, ${ms(p99(on[pair]!))} with the hanging shadow`,
        5_000,
      )
    }
    await mirror(play, false)
    await wait(SETTLED_MS, undefined, { signal: play.signal })
    const account = await world.until('every copy for the hanging shadow to be accounted for', 15_000, async () => {
      const account = (await world.route()).candidates.find(({ version }) => version === HANGING)?.account
      return account !== undefined && account.eligible > 0 && openOf(account) === 0 ? account : undefined
    })
    tellCost(play, { off, on })
    tellDrops(play, account)
    await mirror(play, true)
    await playRollback(play)
  } finally {
    await traffic.pause()
    await server.close()
  }
}

async function mirror({ world }: Play, on: boolean): Promise<void> {
  await world.client.post('/v1/mirror', { on, route: ROUTE, reason: 'the demo measures' }, newIdempotencyKey())
}

/** Live latencies of one stretch of time. */
async function block(play: Play, on: boolean): Promise<number[]> {
  const { traffic, signal } = play
  await mirror(play, on)
  await wait(SETTLE_MS, undefined, { signal })
  const from = traffic.answers.length
  await wait(MEASURE_MS, undefined, { signal })
  return traffic.answers.slice(from).map(answer => answer.ms)
}

function tellCost(play: Play, { off, on }: Record<'off' | 'on', readonly number[][]>): void {
  const { tell, traffic, figures } = play
  const pairs = on.map((hanging, index) => [hanging, off[index]!] as const)
  const ratio = medianOf(pairs.map(([hanging, without]) => p99(hanging) / p99(without)))
  const addedMs = medianOf(pairs.map(([hanging, without]) => p99(hanging) - p99(without)))
  const [without, hanging] = [medianOf(off.map(p99)), medianOf(on.map(p99))]
  const p50s = [off, on].map(blocks => ms(medianOf(blocks.flat())))
  tell.figures(
    [
      ['live p99', ms(without), ms(hanging), `median ratio ${ratio.toFixed(2)}`],
      ['live p50', ...p50s, ''],
      ['requests', numeral(off.flat().length), numeral(on.flat().length), ''],
    ],
    [1, 2],
    [`median of ${PAIRS} pairs`, 'without it', 'hanging', ''],
  )
  figures.hang = { p99Ms: { without, hanging }, medianRatio: ratio, addedMs }
  const failed = traffic.answers.filter(({ status }) => status !== 200).length
  check(play, addedMs <= MOST_ADDED_MS, `a live p99 at most ${MOST_ADDED_MS} ms higher`, `${ms(addedMs)} higher`)
  check(play, failed === 0, 'no failed live request', `${numeral(failed)} failed`)
}

function tellDrops(play: Play, account: CandidateStatus['account']): void {
  const { eligible, notSampled, dropped, failed, compared } = account
  const copies = eligible - notSampled
  const reasons = (by: Readonly<Record<string, number>>) =>
    Object.entries(by)
      .filter(([, amount]) => amount > 0)
      .map(([reason, amount]) => `${reason} ${numeral(amount)}`)
      .join(', ')
  play.tell.line(
    `Of ${numeral(copies)} copies ${numeral(sum(dropped))} were dropped (${reasons(dropped)}), ${numeral(sum(failed))} failed (${reasons(failed)}), ${numeral(compared)} compared.`,
  )
  play.figures.drops = { copies, dropped, failed, compared }
  check(play, sum(dropped) > 0, 'copies dropped', 'none')
  check(play, compared === 0, 'no copy answered', numeral(compared))
}

/** Back to the version before, with traffic running. */
async function playRollback(play: Play): Promise<void> {
  const { tell, world, traffic } = play
  tell.line()
  tell.line(tell.style.bold('And back again: understudy rollback flight-delay'))
  const from = traffic.answers.length
  const askedAt = Date.now()
  const result = (await world.post('rollback', { reason: 'the demo' })) as ChangeResult
  const tookMs = Date.now() - askedAt
  await world.until(`answers of ${LIVE}`, 10_000, async () =>
    traffic.answers.slice(from).filter(({ version }) => version === LIVE).length >= 200 ? true : undefined,
  )
  await traffic.pause()
  const since = traffic.answers.slice(from)
  const last = since.findLast(({ version }) => version === BETTER)
  const failed = since.filter(({ status }) => status !== 200).length
  const lastMs = last === undefined ? 0 : Math.max(0, last.at - askedAt)
  tell.diff(result.diff)
  tell.line(
    `${tell.style.good(`${LIVE} is live`)} again: command ${numeral(tookMs)} ms, last answer of ${BETTER} ${numeral(lastMs)} ms after it was given, ${numeral(failed)} requests failed.`,
  )
  play.figures.rollback = { commandMs: tookMs, lastAnswerMs: lastMs, failed, after: result.after }
  const route = await world.route()
  check(play, result.applied && route.live === LIVE, `${LIVE} live again`, `${route.live} live`)
  check(play, lastMs < 2_000, 'a rollback within 2 s', `${about(lastMs)} ms`)
}

async function hangingServer() {
  const server = createServer(() => {
    // Accepts and never answers.
  })
  server.listen(0, '127.0.0.1')
  await new Promise((resolve, reject) => server.once('listening', resolve).once('error', reject))
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    close: () =>
      new Promise<void>(resolve => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

/** NaN without values, which no check passes. */
function p99(values: readonly number[]): number {
  return quantile(values, 0.99) ?? Number.NaN
}

function medianOf(values: readonly number[]): number {
  return median(values) ?? Number.NaN
}

function ms(value: number): string {
  return Number.isNaN(value) ? '–' : `${about(value)} ms`
}

function openOf({ eligible, notSampled, compared, lost, dropped, failed }: CandidateStatus['account']): number {
  return eligible - notSampled - compared - lost - sum(dropped) - sum(failed)
}

function sum(by: Readonly<Record<string, number>>): number {
  return Object.values(by).reduce((total, amount) => total + amount, 0)
}
