// Scene 3: a better version climbs from the shadow to live, each step when the gate has its proof.
import type { ChangeResult } from '../../admin/control.ts'
import { diffText } from '../../config/edit.ts'
import { UnderstudyError } from '../../errors.ts'
import type { Verdict } from '../../gate/evidence.ts'
import { about, approximate, numeral, percentage } from '../../gate/wording.ts'
import type { Report } from '../../report/status.ts'
import { check, type Play, saveReport, share } from './play.ts'
import { BETTER, LIVE, ROUTE, withBetterInShadow } from './policy.ts'

/** Slow enough to be watched. */
const PER_SECOND = 700
const STAGE_MS = 40_000

export async function playClimb(play: Play): Promise<void> {
  const { tell, world, traffic } = play
  tell.title(`3 · The better version climbs`)
  const { before, after } = await world.edit(withBetterInShadow)
  tell.diff(diffText(before, after))
  traffic.start(PER_SECOND)
  const stages = [await climb(play, `in the shadow`), await climb(play, `at 50 %`)]
  await traffic.pause()
  const route = await world.route()
  const [first, second] = stages
  play.figures.climb = stages.map(({ result, verdict, requests }) => ({
    stage: verdict.stage,
    step: verdict.step,
    requests,
    labels: labelsOf(verdict)?.n,
    reason: verdict.reason,
    after: result.after,
  }))
  check(play, first?.result.after[BETTER] === 50, `${BETTER} at 50 %`, share(first?.result.after[BETTER] ?? 0))
  check(play, second?.result.after[BETTER] === 100, `${BETTER} at 100 %`, share(second?.result.after[BETTER] ?? 0))
  check(play, route.live === BETTER, `${BETTER} live`, `${route.live} live`)
}

interface Stage {
  readonly verdict: Verdict
  readonly result: ChangeResult
  readonly requests: number
}

/** Waits for the verdict *promote*, acts on it, and shows what became of routes.yaml. */
async function climb(play: Play, where: string): Promise<Stage> {
  const { tell, world, traffic } = play
  const from = traffic.sent
  let shown = ''
  try {
    const stage = await world.until(`the verdict promote for ${BETTER} ${where}`, STAGE_MS, async () => {
      const verdict = (await world.route()).candidates.find(({ version }) => version === BETTER)?.verdict
      if (verdict === undefined) return undefined
      shown = progressOf(verdict)
      tell.progress(`${where}, request ${numeral(traffic.sent)}: ${shown}`)
      if (verdict.decision !== 'promote') return undefined
      const report = (await world.client.get(`/v1/routes/${ROUTE}/report?candidate=${BETTER}`)) as Report
      const result = await promote(play)
      return result && { report, result }
    })
    const { verdict } = stage.report
    const requests = traffic.sent - from
    tell.line(`${tell.style.good('promote')} ${where}, after ${numeral(requests)} requests`)
    tellProof(play, verdict)
    tell.diff(stage.result.diff)
    // The last one is the one that made it live.
    const path = await saveReport(world, BETTER, stage.report)
    if (!play.reports.includes(path)) play.reports.push(path)
    return { verdict, result: stage.result, requests }
  } catch (error) {
    if (error instanceof Error && shown !== '') error.message += `; last seen: ${shown}`
    throw error
  }
}

/** Undefined: the verdict changed between asking and promoting, which is what the gateway asks again for. */
async function promote({ world }: Play): Promise<ChangeResult | undefined> {
  try {
    return (await world.post('promote', { candidate: BETTER, reason: 'the demo' })) as ChangeResult
  } catch (error) {
    if (error instanceof UnderstudyError && error.code === 'CONFLICT') return undefined
    throw error
  }
}

/** `more needed: labels 640, errors 120, latency –`: what each open metric still lacks; –: nothing to reckon from yet. */
export function progressOf({ decision, metrics, exposure, reason }: Verdict): string {
  if (decision !== 'continue' && decision !== 'promote') return `${decision}: ${reason}`
  const lacking = new Map<string, number | null>()
  for (const { metric, needed, state, segment } of metrics) {
    if (state !== 'open' || segment !== undefined) continue
    const name = metric.replace(/\..*/, '')
    const known = lacking.get(name)
    lacking.set(name, needed === null || known === null ? null : Math.max(known ?? 0, needed))
  }
  const left = exposure.requestsNeeded - exposure.requests
  if (left > 0) lacking.set('exposure', left)
  const needs = [...lacking].map(([name, more]) => `${name} ${more === null ? '–' : approximate(more)}`)
  return needs.length === 0 ? 'nothing more needed' : `more needed: ${needs.join(', ')}`
}

/** What the gate found, a line each. */
function tellProof({ tell }: Play, verdict: Verdict): void {
  const rows = verdict.metrics.filter(({ state, segment }) => state === 'safe' && segment === undefined)
  tell.figures(
    rows.map(({ metric, what, n, estimate, baseline, limit }) => {
      const figure = (value: number | null | undefined) =>
        value === null || value === undefined ? '' : metric === 'errors' ? percentage(value) : about(value)
      return [metric, what, numeral(n), figure(baseline), figure(estimate), figure(limit)]
    }),
    [2, 3, 4, 5],
    ['proven', '', 'n', LIVE, BETTER, 'limit'],
  )
}

function labelsOf({ metrics }: Verdict) {
  return metrics.find(({ metric, segment }) => metric === 'labels' && segment === undefined)
}
