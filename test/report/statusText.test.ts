import { describe, expect, it } from 'vitest'
import { statusText } from '../../src/report/statusText.ts'
import { status } from '../admin/fakeControl.ts'

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
