// The end of the play: verdicts, what the worse version answered, the reports, and how to go on with one's own model.
import { setTimeout as wait } from 'node:timers/promises'
import { numeral } from '../../gate/wording.ts'
import { httpClient } from './http.ts'
import { check, type Play } from './play.ts'
import { BETTER, ROUTE, WORSE } from './policy.ts'

/** Says how it ended. True: every scene went as told. */
export async function playEnd(play: Play, elapsedMs: number): Promise<boolean> {
  const { tell, traffic, checks, figures, reports } = play
  play.scene = 'end'
  // A gateway that is gone is told by the scene that needed it; its metrics went with it.
  const answered = await liveAnswers(play, WORSE).catch(() => undefined)
  const total = traffic.answers.length
  figures.liveAnswersByWorse = answered
  check(play, answered === 0, `no live request answered by ${WORSE}`, shown(answered))
  const failed = checks.filter(({ ok }) => !ok)
  tell.title(failed.length === 0 ? 'As told' : 'Not as told')
  const { worse, climb, rollback } = figures as {
    worse?: { requestOfAbort: number }
    climb?: readonly { requests: number }[]
    rollback?: { commandMs: number }
  }
  const rows = [
    worse && [WORSE, 'aborted', `at request ${numeral(worse.requestOfAbort)}, in the shadow`],
    [
      worse ? '' : WORSE,
      '',
      `answered ${shown(answered)} of ${numeral(total)} live requests (by /metrics; ${traffic.asked} that this demo sent to it by header left out)`,
    ],
    climb && [
      BETTER,
      'promoted',
      `twice, after ${climb.map(({ requests }) => numeral(requests)).join(' and ')} requests`,
    ],
    rollback && ['', 'rolled back', `in ${numeral(rollback.commandMs)} ms`],
  ].filter(row => row !== undefined)
  tell.figures(rows, [])
  for (const { scene, expected, seen } of failed)
    tell.line(tell.style.bad(`${scene}: expected ${expected}, seen ${seen}`))
  const seconds = `${(elapsedMs / 1000).toFixed(0)} s`
  tell.line(`${checks.length - failed.length} of ${checks.length} expectations met in ${seconds}.`)
  for (const report of reports) tell.line(`report: ${report}`)
  tell.line()
  tell.line('Your own model:')
  tell.line(`  npx understudy models add model.onnx --name my-model --version 1.0.0 --samples rows.jsonl`)
  tell.line('  then add the lines it prints to routes.yaml, and: npm start')
  return failed.length === 0
}

function shown(count: number | undefined): string {
  return count === undefined ? 'an unknown number' : numeral(count)
}

/**
 * Requests that a version answered, from the gateway's own metrics, once they have counted every answer; the ones that the
 * demo sent to it by header are left out.
 */
async function liveAnswers(play: Play, version: string): Promise<number> {
  const { world, traffic } = play
  const client = httpClient(world.admin, 1)
  const answered = traffic.answers.filter(({ status }) => status !== 0).length + traffic.asked
  try {
    let text = ''
    // The serving thread posts its counts every 250 ms.
    const end = performance.now() + 3_000
    do {
      await wait(100)
      text = (await client.send('GET', '/metrics', {})).text
    } while (answersOf(text) < answered && performance.now() < end)
    const counted = answersOf(text)
    check(play, counted === answered, `${numeral(answered)} answers in /metrics`, numeral(counted))
    return answersOf(text, version) - traffic.asked
  } finally {
    client.close()
  }
}

/** The sum of understudy_requests_total over the route, or over one version of it. */
export function answersOf(exposition: string, version?: string): number {
  return exposition
    .split('\n')
    .filter(line => line.startsWith('understudy_requests_total{') && line.includes(`route="${ROUTE}"`))
    .filter(line => version === undefined || line.includes(`version="${version}"`))
    .reduce(
      (sum, line) =>
        sum +
        Number(
          line
            .slice(line.lastIndexOf('}') + 1)
            .trim()
            .split(' ')[0],
        ),
      0,
    )
}
