// A gateway that answers from memory and remembers what it was asked.
import type { ChangeResult, Control, Request } from '../../src/admin/control.ts'
import { UnderstudyError } from '../../src/errors.ts'
import { evidenceJson, policyJson } from '../../src/report/evidenceFile.ts'
import { latencyOf } from '../../src/report/report.ts'
import { STATUS_VERSION, type Status } from '../../src/report/status.ts'
import { found } from '../report/explained.ts'
import { evidence, policy, report, verdict } from '../report/sample.ts'

export const status: Status = {
  statusVersion: STATUS_VERSION,
  ready: true,
  revision: 3,
  startedAt: '2026-01-01T00:00:00Z',
  uptimeMs: 90_000,
  servingThreads: 2,
  listen: '127.0.0.1:8080',
  configuration: { file: 'routes.yaml', hash: 'c'.repeat(64), loadedAt: '2026-01-01T00:00:00Z', error: undefined },
  store: { ok: true, message: undefined },
  routes: [
    {
      name: 'flight-delay',
      live: '1.0.0',
      versions: [
        {
          version: '1.0.0',
          digest: 'a'.repeat(64),
          target: 'flight-delay/1.0.0',
          identityVerified: true,
          role: 'live',
          weight: 99,
          wanted: 95,
          shadowPercent: 0,
          broken: undefined,
          latched: undefined,
        },
        {
          version: '1.1.0',
          digest: 'b'.repeat(64),
          target: 'flight-delay/1.1.0',
          identityVerified: true,
          role: 'canary',
          weight: 1,
          wanted: 5,
          shadowPercent: 100,
          broken: undefined,
          latched: undefined,
        },
      ],
      held: [
        {
          version: '1.1.0',
          key: 'weight',
          wanted: 5,
          allowed: 1,
          reason: 'versions without evidence may take 1 % together',
          missing: [],
        },
      ],
      notices: [],
      candidates: [
        {
          version: '1.1.0',
          verdict,
          account: report.account,
          latency: latencyOf(evidence.periods, 'shadow'),
          perSecond: { comparisons: 12, labels: 3, requests: 40 },
        },
      ],
      mirror: 'on',
      labels: { waiting: 7, joined: 400, late: 0, unmatched: 1, expired: 0, cut: 0 },
    },
  ],
}

export interface Asked {
  readonly what: string
  readonly arguments: readonly unknown[]
}

/** `overrides` replaces single methods; `asked` grows by a line for each change that was asked for. */
export function fakeControl(overrides: Partial<Control> = {}): { control: Control; asked: Asked[] } {
  const asked: Asked[] = []
  const known = (route: string) => {
    if (route !== 'flight-delay') throw new UnderstudyError('UNKNOWN_MODEL', `unknown route "${route}"`)
  }
  const changed =
    (action: ChangeResult['action']) =>
    async (route: string, ...rest: unknown[]) => {
      known(route)
      asked.push({ what: action, arguments: [route, ...rest] })
      const { dryRun } = rest.at(-1) as Request
      return {
        route,
        action,
        dryRun,
        applied: !dryRun,
        summary: `${action} of ${route}`,
        diff: '--- routes.yaml\n+++ routes.yaml\n-weight: 5\n+weight: 25\n',
        before: { '1.0.0': 95, '1.1.0': 5 },
        after: { '1.0.0': 75, '1.1.0': 25 },
        elapsedMs: 3,
      }
    }
  const control: Control = {
    status: () => status,
    report: route => {
      known(route)
      return report
    },
    gate: route => {
      known(route)
      return verdict
    },
    evidence: route => {
      known(route)
      return { evidence: evidenceJson(evidence), policy: policyJson(policy) }
    },
    explain: async (requestId, route) => {
      if (route !== undefined) known(route)
      if (requestId !== 'order-17') throw new UnderstudyError('UNKNOWN_REQUEST', `request "${requestId}" is not kept`)
      return found
    },
    promote: changed('promote'),
    rollback: changed('rollback'),
    abort: changed('abort'),
    clear: changed('clear'),
    pause: changed('pause'),
    resume: changed('resume'),
    setWeight: changed('set-weight'),
    mirror: async (...rest) => void asked.push({ what: 'mirror', arguments: rest }),
    history: (...rest) => {
      asked.push({ what: 'history', arguments: rest })
      return [
        {
          at: '2026-01-01T00:00:00Z',
          route: 'flight-delay',
          kind: 'promote',
          version: '1.1.0',
          who: 'ann',
          from: '1.0.0',
          to: '1.1.0',
          reason: 'better',
          evidenceDigest: undefined,
          phase: 'applied',
        },
        {
          at: '2026-01-02T00:00:00Z',
          route: 'flight-delay',
          kind: 'set-weight',
          version: '2.0.0',
          who: 'ann',
          from: '5 %',
          to: '1 %',
          reason: 'a look',
          evidenceDigest: undefined,
          phase: 'applied',
        },
      ]
    },
    labels: async body => ({ status: body.length > 2 ? 200 : 400, body: '{"kept":1}' }),
    traces: async spans => {
      asked.push({ what: 'traces', arguments: [...spans] })
      return { rejectedSpans: 0, errorMessage: '' }
    },
    metrics: async format =>
      format === 'plain'
        ? { body: 'understudy_up 1\n', contentType: 'text/plain; version=0.0.4' }
        : { body: 'understudy_up 1\n# EOF\n', contentType: 'application/openmetrics-text; version=1.0.0' },
    ready: () => true,
    ...overrides,
  }
  return { control, asked }
}
