import { describe, expect, it } from 'vitest'
import { SLOT } from '../../src/evidence/counters.ts'
import type { Decision, Evidence } from '../../src/gate/evidence.ts'
import { judge } from '../../src/gate/verdict.ts'
import type { AutomaticStatus } from '../../src/report/status.ts'
import { statusText } from '../../src/report/statusText.ts'
import { timeToVerdict as timedBy } from '../../src/report/timeToVerdict.ts'
import { status } from '../admin/fakeControl.ts'
import { period, policyOf } from '../gate/policy.ts'
import { evidence as sampleEvidence } from './sample.ts'

describe('the status as text', () => {
  it('shows each version with its role, its share and the one that routes.yaml asks for', () => {
    expect(statusText(status)).toMatch(/1\.1\.0 +canary +1 % +5 % +100 %/)
  })

  it('says why an edit is held', () => {
    expect(statusText(status)).toContain(
      'held  1.1.0 wants 5 %, has 1 %: versions without evidence may take 1 % together',
    )
  })

  it('gives the verdict a line and lists the first things that are missing', () => {
    const text = statusText({
      ...status,
      routes: status.routes.map(route => ({
        ...route,
        candidates: route.candidates.map(candidate => ({
          ...candidate,
          verdict: {
            ...candidate.verdict,
            decision: 'continue',
            reason: 'not decided yet: still needs a; b; c; d',
            missing: ['a', 'b', 'c', 'd'],
          },
        })),
      })),
    })
    expect(text).toContain('continue  not decided yet\n')
    expect(text).toContain('needs c\n')
    expect(text).toContain('and 1 more')
  })

  it('shows the holdback, what live is held against, and how far the evidence for a decline is', () => {
    const holdback = { version: '0.9.0', weight: 2, since: '2026-01-01T00:00:00Z', until: '2026-01-08T00:00:00Z' }
    const decline = {
      policy: 'tell' as const,
      reference: 'holdback' as const,
      since: '2026-01-01T00:00:00Z',
      epochs: 90,
      log: Math.log(12),
      logNeeded: Math.log(1e6),
    }
    const textOf = (more: object) =>
      statusText({ ...status, routes: status.routes.map(route => ({ ...route, ...more })) })
    const text = textOf({ holdback, decline })
    expect(text).toContain('holdback  0.9.0 keeps 2 % until 2026-01-08T00:00:00Z\n')
    expect(text).toContain('no decline of 1.0.0 against the holdback (evidence 12 of 1,000,000)\n')
    expect(textOf({ decline: { ...decline, reference: 'frozen', log: null } })).toContain(
      'no decline of 1.0.0 against what it failed at its promotion (evidence 0 of 1,000,000)\n',
    )
    const reason = 'errors: 6 % of 3,000 answers failed'
    const alarm = { metric: 'errors', reason, since: '', at: '', live: { n: 1, mean: 1 }, reference: { n: 1, mean: 0 } }
    expect(textOf({ holdback, decline: { ...decline, alarm } })).not.toContain('no decline')
    expect(textOf({})).not.toMatch(/decline|holdback/)
  })

  it('shows a refused edit, a failing store, a broken and a latched version', () => {
    const [route] = status.routes
    const text = statusText({
      ...status,
      ready: false,
      configuration: { ...status.configuration, error: 'routes.yaml:3:1 unknown key\nroutes.yaml:4:1 other' },
      store: { ok: false, message: 'disk full' },
      routes: [
        {
          ...route!,
          versions: [
            {
              ...route!.versions[1]!,
              broken: 'no file',
              latched: { kind: 'abort', reason: 'worse' },
              identityVerified: false,
            },
          ],
        },
      ],
    })
    for (const part of [
      'not ready',
      '  routes.yaml:4:1 other',
      'disk full',
      'broken  1.1.0: no file',
      'abort, worse',
      'until it is cleared',
      'identity not verified',
    ])
      expect(text).toContain(part)
  })

  it('escapes control characters', () => {
    const text = statusText({ ...status, listen: '\u001b]0;x\u0007' })
    expect(text).not.toContain('\u001b')
  })
})

describe('what a verdict waits for', () => {
  const counters = { [SLOT.bothOk]: 900, [SLOT.match]: 890, [SLOT.mismatch]: 10 }
  const evidence: Evidence = {
    ...sampleEvidence,
    periods: [period({ counters })],
    mirrored: { eligible: 900, dropped: 0 },
  }
  const judged = policyOf({ gate: { disagreement: 0.05 } })
  const verdict = judge(evidence, judged)
  const perSecond = { comparisons: 3.2, labels: 0, requests: 0 }
  const timeToVerdict = timedBy(evidence, judged, verdict, perSecond)
  const withCandidate = (change: object) => ({
    ...status,
    routes: status.routes.map(route => ({
      ...route,
      candidates: route.candidates.map(candidate => ({ ...candidate, verdict, perSecond, timeToVerdict, ...change })),
    })),
  })

  it('is a table of the metrics that decide, with what each needs and how long that takes at this rate', () => {
    const text = statusText(withCandidate({}))
    expect(text).toMatch(/errors +open +0 % .* 0\.1 % +about \d[\d,]* comparisons +about .* at 3\.2\/s\n/)
    expect(text).toMatch(/exposure +open +900 +1,000 +about 100 comparisons +about 32 seconds at 3\.2\/s\n/)
    expect(text).toMatch(/disagreement +(safe|open) +1\.11 % +0.* to .* +5 %/)
    expect(text).not.toMatch(/stability/)
    expect(text).toMatch(/the verdict waits for (errors|time): about /)
    // The same is not said twice.
    expect(text).not.toMatch(/needs exposure|needs errors|needs time/)
  })

  it('is left out where the gateway does not tell it, and what is missing is listed then', () => {
    expect(statusText(withCandidate({ timeToVerdict: undefined }))).toMatch(/needs errors: about/)
  })
})

it('tells what a route raises by itself, what that waits for, and who paused it', () => {
  const automatic = (automatic: object) =>
    statusText({
      ...status,
      routes: status.routes.map(route => ({ ...route, automatic: automatic as AutomaticStatus })),
    })
  expect(
    automatic({ mode: 'auto', waitingFor: 'raises happen Mon-Fri only', nextAt: '2026-01-05T08:00:00Z' }),
  ).toContain('automatic  the next raise waits: raises happen Mon-Fri only, 2026-01-05T08:00:00Z\n')
  expect(
    automatic({ mode: 'auto', paused: { who: 'ann', reason: 'on\u001bcall', at: '2026-01-05T08:00:00Z' } }),
  ).toContain('paused  by ann since 2026-01-05T08:00:00Z: on\\u{1b}call (`resume` goes on)\n')
  const waiting = (decision: Decision) => {
    const { candidates } = status.routes[0]!
    const judged = candidates.map(each => ({ ...each, verdict: { ...each.verdict, decision } }))
    // Of a moment before: the verdict below has moved on since.
    const waitingFor = '1.1.0: still needs 300 more; 1.2.0 is ready and comes after it'
    const waits = { ...status.routes[0]!, candidates: judged, automatic: { mode: 'auto' as const, waitingFor } }
    return statusText({ ...status, routes: [waits] })
  }
  const wait = 'the next raise waits:'
  expect(waiting('continue')).toContain(`${wait} no verdict on 1.1.0 yet; 1.2.0 is ready and comes after it\n`)
  expect(waiting('hold')).toContain(`${wait} the verdict on 1.1.0 is hold; 1.2.0 is ready and comes after it\n`)
  expect(automatic({ mode: 'manual' })).toBe(statusText(status))
})
