import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startAdmin } from '../../src/admin/server.ts'
import { SLOT } from '../../src/evidence/counters.ts'
import { magnitudeBin } from '../../src/evidence/histogram.ts'
import type { Evidence } from '../../src/gate/evidence.ts'
import { evidenceFile } from '../../src/report/evidenceFile.ts'
import { fakeControl } from '../admin/fakeControl.ts'
import { policyOf } from '../gate/policy.ts'
import { runHere } from './runHere.ts'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'understudy-judge-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

const policy = policyOf({ gate: { disagreement: 0.02, exposure: { requests: 1000, for: '10m' } } })
/** A shadow whose answers are apart by 0.005 in one of twenty requests. */
const evidence: Evidence = {
  route: 'risk',
  baseline: { version: '1.0.0', digest: 'a' },
  candidate: { version: '1.1.0', digest: 'b' },
  attempt: 1,
  candidates: 1,
  periods: [
    {
      key: 'k',
      stage: 'shadow',
      step: 0,
      share: 0,
      segments: ['origin=JFK'],
      counters: new Map([
        [SLOT.bothOk, 20_000],
        [SLOT.match, 19_000],
        [SLOT.mismatch, 1_000],
        [`diff.${magnitudeBin(0)}`, 19_000],
        [`diff.${magnitudeBin(0.005)}`, 1_000],
      ]),
    },
  ],
  waiver: { metrics: ['latency.p99'], reason: 'a cold cache', until: 1_800_000_000_000, expired: false },
  stepElapsedMs: 700_000,
  mirrored: { eligible: 20_000, dropped: 0 },
}
const compare = [{ output: 'p', kind: 'probabilities' as const, tolerance: { absolute: 0.001 } as never }]
const week = JSON.parse(JSON.stringify(evidenceFile(evidence, policy, compare))) as Record<string, unknown>

async function put(name: string, content: unknown): Promise<string> {
  const path = join(folder, name)
  await writeFile(path, typeof content === 'string' ? content : JSON.stringify(content))
  return path
}
const judgeFile = async (content: unknown, ...args: string[]) =>
  runHere(['judge', await put('week.json', content), ...args])
/** The file with something else at a path. */
function changed(path: readonly (string | number)[], value: unknown): Record<string, unknown> {
  const copy = structuredClone(week)
  let at = copy as Record<string | number, unknown>
  for (const key of path.slice(0, -1)) at = at[key] as Record<string | number, unknown>
  at[path.at(-1)!] = value
  return copy
}

describe('a recorded week', () => {
  it('is exported by report, whole, and judged by its own policy', async () => {
    const { control } = fakeControl({ evidence: () => evidenceFile(evidence, policy, compare) })
    const listener = await startAdmin({ host: '127.0.0.1', port: 0, token: undefined, control })
    try {
      const admin = ['--admin', `http://127.0.0.1:${listener.port}`]
      const { code, out } = await runHere(['report', 'risk', '--format', 'evidence', ...admin])
      expect([code, JSON.parse(out)]).toEqual([0, week])
    } finally {
      await listener.close()
    }
    const { code, out } = await judgeFile(week)
    expect(code).toBe(3)
    expect(out).toMatch(/^abort: 1\.1\.0 is worse than 1\.0\.0: share of answers that differ is 5 %/)
  })

  it('can be asked what if the tolerance had been another, and that licenses nothing', async () => {
    const { code, out } = await judgeFile(week, '--tolerance', '0.01')
    expect(code).toBe(0)
    expect(out).toMatch(
      /^what if compare\.tolerance\.absolute = 0\.01 \(this licenses nothing\):\n {2}0 of 20000 answers would differ/,
    )
    expect(out).toMatch(/^promote: /m)
    const json = await judgeFile(week, '--tolerance', '1e-4', '--json')
    expect(JSON.parse(json.out)).toMatchObject({
      decision: 'abort',
      whatIf: { asked: ['compare.tolerance.absolute = 0.0001'] },
    })
  })

  it('can be asked about settings, several at once', async () => {
    const { code, out } = await judgeFile(week, '--set', 'gate.disagreement=0.2', '--set', 'gate.exposure.for=1h')
    expect(code).toBe(6)
    expect(out).toMatch(/^what if gate\.disagreement = 0\.2, gate\.exposure\.for = 1h \(this licenses nothing\):\n/)
    expect(out).toMatch(/still needed: time: 48 minutes/)
    expect((await judgeFile(week, '--set', 'gate.disagreement=0.2')).code).toBe(0)
  })

  it('is judged by a route of a routes.yaml, which must be there and be valid', async () => {
    const routes = (disagreement: number, extra = '') =>
      `routes:\n  risk:\n    live: 1.0.0\n    versions: { 1.0.0: { onnx: m, weight: 100 } }\n    gate: { disagreement: ${disagreement}, exposure: { requests: 10, for: 1s } }\n${extra}`
    const file = await put('routes.yaml', routes(0.2))
    expect((await judgeFile(week, '--policy', file)).code).toBe(0)
    const missing = await judgeFile(week, '--policy', file, '--route', 'rsk')
    expect([missing.code, missing.err]).toEqual([2, 'routes.yaml has no route rsk; name one of risk with --route\n'])
    const wrong = await judgeFile(week, '--policy', await put('wrong.yaml', routes(0.2, '    weigth: 1\n')))
    expect([wrong.code, wrong.err]).toEqual([2, expect.stringMatching(/^wrong\.yaml:6:5 unknown key `weigth`/)])
    const policyFile = await put('policy.yaml', 'expect: same\n')
    expect((await judgeFile(week, '--policy', policyFile, '--route', 'risk')).err).toMatch(
      /--route is for a routes\.yaml/,
    )
  })
})

describe('bad input', () => {
  const counters = (slots: Record<string, unknown>) => changed(['evidence', 'periods', 0, 'counters'], slots)
  const bare = { [SLOT.bothOk]: 20_000, [SLOT.match]: 20_000 }

  it.each([
    ['a file that breaks off', JSON.stringify(week).slice(0, -20), /^week\.json is not JSON/],
    ['an empty file', '', /^week\.json is not JSON/],
    ['a file of another version', { ...week, evidenceVersion: 2 }, /^week\.json: evidenceVersion: expected 1, got 2/],
    ['a version that is no number', { ...week, evidenceVersion: 'x' }, /evidenceVersion/],
    [
      'a negative counter',
      counters({ ...bare, [SLOT.candidateError]: -1 }),
      /pair\.err\.c: expected at least 0, got -1/,
    ],
    ['half a count', counters({ ...bare, [SLOT.mismatch]: 0.5 }), /pair\.mismatch: expected a whole number/],
    [
      'a counter that is not finite',
      JSON.stringify(counters({ ...bare, [SLOT.mismatch]: 7 })).replace(':7}', ':1e999}'),
      /pair\.mismatch: /,
    ],
    ['a counter that is nothing', counters({ ...bare, [SLOT.mismatch]: null }), /pair\.mismatch: /],
    [
      'a misspelt counter, which would else be none',
      counters({ ...bare, 'pair.mismtach': 9000 }),
      /unknown counter `pair\.mismtach`, did you mean `pair\.mismatch`\?/,
    ],
    ['an unknown kind of counter', counters({ ...bare, 'magic.1': 1 }), /unknown counter `magic\.1`/],
    ['an unknown metric', changed(['evidence', 'waiver', 'metrics'], ['disagrement']), /disagreement, difference/],
    [
      'an end of an override that no calendar has',
      changed(['evidence', 'waiver', 'until'], 1e18),
      /waiver\.until: expected at most/,
    ],
    ['an unknown stage', changed(['evidence', 'periods', 0, 'stage'], 'live'), /shadow, canary/],
    [
      'a file without a policy',
      { evidenceVersion: 1, evidence: week.evidence },
      /holds no policy: name one with --policy/,
    ],
    [
      'a policy that cannot be',
      changed(['policy', 'gate', 'disagreement'], 7),
      /policy\.gate\.disagreement: expected less than 1/,
    ],
    ['a tolerance that is no list', { ...week, compare: 'exact' }, /expected a list/],
  ])('%s ends with code 2 and says what is wrong', async (_what, content, message) => {
    const { code, out, err } = await judgeFile(content)
    expect([code, out]).toEqual([2, ''])
    expect(err).toMatch(message)
  })

  const canary = (share: number, slots: Record<string, number> = {}) =>
    changed(['evidence', 'periods'], [{ stage: 'canary', step: 5, share, counters: { ...bare, ...slots } }])
  it.each([
    ['a share of nothing', canary(0), /share is 0/],
    [
      'more errors than requests',
      canary(0.5, { [SLOT.armCandidate]: 10, [SLOT.armCandidateError]: 11 }),
      /arm\.c\.err/,
    ],
    ['more comparisons than pairs', counters({ [SLOT.match]: 20_000 }), /20,?000 comparisons exceed 0 pairs/],
    ['more drops than mirrored requests', changed(['evidence', 'mirrored'], { eligible: 1, dropped: 2 }), /dropped/],
  ])('%s is invalid, and never promoted, whatever is asked', async (_what, content, message) => {
    for (const args of [[], ['--set', 'gate.disagreement=0.9'], ['--tolerance', '9']]) {
      const { code, out } = await judgeFile(content, ...args)
      expect([code, out]).toEqual([6, expect.stringMatching(/^invalid: /m)])
      expect(out).toMatch(message)
    }
  })

  it.each([
    ['traffic of one side only', canary(0.5, { [SLOT.armCandidate]: 100_000 })],
    ['no counters', changed(['evidence', 'periods', 0, 'counters'], {})],
    ['no periods', changed(['evidence', 'periods'], [])],
  ])('%s is never promoted', async (_what, content) => {
    const { out, code } = await judgeFile(content)
    expect(code).toBe(6)
    expect(out).not.toMatch(/^promote/m)
  })

  it.each([
    ['a setting without a value', ['--set', 'gate.disagreement'], /Expected key=value/],
    ['an unknown setting', ['--set', 'gate.disagrement=0.1'], /did you mean `disagreement`/],
    ['a setting outside the policy', ['--set', 'compare.tolerance.absolute=1'], /--tolerance/],
    ['a setting that was counted with', ['--set', 'gate.latency.p95=2'], /cannot be asked about/],
    ['a negative tolerance', ['--tolerance', '-1'], /Expected a number from 0/],
    ['a tolerance that is no number', ['--tolerance', 'wide'], /Expected a number from 0/],
  ])('%s ends with code 2', async (_what, args, message) => {
    const { code, out, err } = await judgeFile(week, ...args)
    expect([code, out]).toEqual([2, ''])
    expect(err).toMatch(message)
  })

  it('a tolerance of an output that was no number is refused with the reason', async () => {
    const { code, err } = await judgeFile({ ...week, compare: [{ kind: 'label', tolerance: {} }] }, '--tolerance', '1')
    expect([code, err]).toEqual([
      2,
      '--tolerance cannot be answered: the output was compared as a label, which no difference decides\n',
    ])
    const { compare: _, ...unsaid } = week
    expect((await judgeFile(unsaid, '--tolerance', '1')).err).toMatch(/does not say how answers were compared/)
  })

  it('the evidence is named once, and must be named', async () => {
    expect((await runHere(['judge'])).err).toMatch(/missing required argument 'file'/)
    const file = await put('week.json', week)
    expect((await runHere(['judge', file, '--evidence', file])).code).toBe(2)
    expect((await runHere(['judge', '-', '--policy', '-'])).err).toMatch(/only one of/)
    expect((await runHere(['judge', '-'], { input: await readFile(file, 'utf8') })).code).toBe(3)
  })
})

it('help says how a week is recorded and asked', async () => {
  const { out } = await runHere(['judge', '--help'])
  for (const words of ['--format evidence', '--tolerance', '--set', 'license nothing']) expect(out).toContain(words)
})
