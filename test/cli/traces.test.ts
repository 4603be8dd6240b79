import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { parseRoutes } from '../../src/config/load.ts'
import type { PairCount } from '../../src/evidence/pairCount.ts'
import type { EvidenceTerms } from '../../src/evidence/told.ts'
import { compareDigest } from '../../src/rollout/periods.ts'
import type { FinishedRequest } from '../../src/telemetry/finished.ts'
import { writeRequestSpans, writeTermsSpan } from '../../src/telemetry/spans.ts'
import { finishedRequest } from '../telemetry/finishedRequest.ts'
import { writtenSpans } from '../telemetry/ownSpans.ts'
import { runHere } from './runHere.ts'

const folder = mkdtempSync(join(tmpdir(), 'understudy-test-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const file = (name: string, text: string) => {
  writeFileSync(join(folder, name), text)
  return join(folder, name)
}

const routesText = (tolerance = 0.05) =>
  JSON.stringify({
    routes: {
      risk: {
        live: '1.0.0',
        versions: {
          '1.0.0': { url: 'http://127.0.0.1:1', weight: 100 },
          '1.1.0': { url: 'http://127.0.0.1:2', mirrorable: true, shadow: 100 },
        },
        compare: { output: 'p', tolerance: { absolute: tolerance } },
        labels: { loss: 'brier', margin: 0.05 },
      },
      other: { live: '1.0.0', versions: { '1.0.0': { url: 'http://127.0.0.1:1', weight: 100 } } },
    },
  })
const routes = file('routes.yaml', routesText())
const digest = compareDigest(parseRoutes(routesText(), 'routes.yaml').routes.risk!)
const START = 1_790_000_000_000

const terms = (candidate = '1.1.0'): EvidenceTerms => ({
  route: 'risk',
  key: `risk/${candidate}/a/000001`,
  baseline: { version: '1.0.0', digest: 'b'.repeat(64) },
  candidate: { version: candidate, digest: 'c'.repeat(64) },
  attempt: 1,
  candidates: 1,
  stage: 'shadow',
  step: 0,
  share: 0,
  startedAt: START,
  compareDigest: digest,
  holdback: false,
})

/** One mirrored request; every fourth pair differs. */
function requestOf(n: number, ratio: number, key: string): FinishedRequest {
  const differs = n % 4 === 0
  const count: PairCount = {
    result: differs ? 'mismatch' : 'match',
    dropped: undefined,
    errors: { baseline: false, candidate: false },
    unstable: false,
    differences: [differs ? 900 : 0],
    answers: [],
    segments: ['origin=JFK'],
    latency: undefined,
    late: [],
    sampled: false,
  }
  const base = finishedRequest()
  const traceId = `${(n + 1).toString(16).padStart(16, '0')}00${'f'.repeat(14)}`
  const told = { arm: 'b', arms: [], failed: false, latencyMs: undefined, cohorts: [], label: undefined } as const
  return {
    ...base,
    route: 'risk',
    traceId,
    requestId: `id-${n}`,
    spanId: (n + 1).toString(16).padStart(16, '0'),
    startMs: START + n * 10,
    inferences: [],
    kept: differs ? { reason: 'mismatch', weight: 1 } : { reason: 'head', weight: 1 / ratio },
    evidence: { epoch: 1, originMs: START, ratio, count: { ...told, mirrored: [key], notSampled: [] } },
    comparisons: [
      {
        ...base.comparisons[0]!,
        result: count.result,
        evidence: {
          key,
          stage: 'shadow',
          share: 0,
          number: n,
          count,
          again: undefined,
          predictions: [0.5, 0.9],
          scores: undefined,
        },
      },
    ],
  }
}

function spansFile(name: string, { ratio = 1, candidates = ['1.1.0'], requests = 40 } = {}): string {
  const spans = writtenSpans((tracer, ids) => {
    for (const candidate of candidates) {
      const told = terms(candidate)
      writeTermsSpan(tracer, ids, told, START)
      for (let n = 0; n < requests; n++) writeRequestSpans(tracer, ids, requestOf(n, ratio, told.key))
    }
  })
  return file(name, `${JSON.stringify(spans)}\n`)
}
const plain = spansFile('spans.jsonl')
const report = (traces: string, ...more: string[]) =>
  runHere(['report', 'risk', ...more, '--traces', traces, '--routes', routes])

describe('report --traces', () => {
  it.each([
    ['a file that is not there', () => join(folder, 'none.jsonl'), [], /none\.jsonl cannot be read \(ENOENT\)/],
    ['an empty file', () => file('empty.jsonl', ''), [], /empty\.jsonl: no spans \(expected OTLP in JSON/],
    ['something else', () => file('x.jsonl', 'a\nb\n'), [], /left out that are no JSON: 2\nx\.jsonl: no spans/],
    [
      'spans of others',
      () => file('o.jsonl', JSON.stringify(writtenSpans(tracer => tracer.startSpan('GET /').end()))),
      [],
      /o\.jsonl: 1 spans, and none of Understudy/,
    ],
    [
      'spans of an earlier release',
      () =>
        file(
          'e.jsonl',
          JSON.stringify(writtenSpans((tracer, ids) => writeRequestSpans(tracer, ids, finishedRequest()))),
        ),
      [],
      /the spans say nothing of evidence; they were written by an earlier release/,
    ],
    ['another candidate', () => plain, ['9.9.9'], /9\.9\.9 is no candidate of route risk in these spans, only 1\.1\.0/],
    [
      'several candidates',
      () => spansFile('two.jsonl', { candidates: ['1.1.0', '1.2.0'] }),
      [],
      /route risk has several candidates in these spans: name one of/,
    ],
  ])('names what is wrong with %s', async (_, traces, more, message) => {
    const { code, out, err } = await report(traces(), ...more)
    expect([code, out]).toEqual([2, ''])
    expect(err).toMatch(message)
  })

  it('names the routes that spans are of, and those of the file', async () => {
    const of = (route: string) => runHere(['report', route, '--traces', plain, '--routes', routes])
    expect(await of('other')).toMatchObject({ code: 2, err: 'spans.jsonl: no spans of route other, only of risk\n' })
    expect((await of('nobody')).err).toMatch(/routes\.yaml has no route nobody, only risk, other/)
  })

  it('does not judge by a policy that compares otherwise', async () => {
    const changed = file('changed.yaml', routesText(0.1))
    const { code, err } = await runHere(['report', 'risk', '--traces', plain, '--routes', changed])
    expect(code).toBe(2)
    expect(err).toMatch(/changed\.yaml compares risk by other settings than these spans do/)
  })

  it('writes every format', async () => {
    const text = await report(plain)
    expect(text.code).toBe(0)
    expect(text.out).toContain('Made from spans')
    expect(text.out).toContain('40 pairs of answers compared, 10 differ (25 %)')
    expect(text.out).toContain('labels are not in spans: give them with --labels')
    expect((await report(plain, '--format', 'markdown')).out).toContain('## Made from spans')
    const html = (await report(plain, '--format', 'html')).out
    expect(html).toContain('<h2>Made from spans</h2>')
    expect(html).toContain('this licenses nothing')
    const evidence = (await report(plain, '--format', 'evidence')).out
    const judged = await runHere(['judge', file('evidence.json', evidence), '--json'])
    const verdict = JSON.parse((await report(plain, '--json')).out).verdict
    expect(JSON.parse(judged.out).evidenceDigest).toBe(verdict.evidenceDigest)
  })

  it('shows weighted estimates beside the sample where not every request was kept', async () => {
    const sampled = spansFile('sampled.jsonl', { ratio: 0.5 })
    const { out } = await report(sampled)
    expect(out).toContain('a share of 0.5 of ordinary requests was kept')
    expect(out).toMatch(/pairs compared +70 +\d+ to \d+ +40/)
    expect(out).toMatch(/differ +14\.3 % +[\d.]+ % to [\d.]+ % +25 %/)
    expect((await report(sampled, '--format', 'html')).out).toContain('in the sample')
    const { traces } = JSON.parse((await report(sampled, '--json')).out)
    expect(traces).toMatchObject({ requests: 40, sampled: 40, ratio: [0.5, 0.5] })
  })

  it('joins labels from a file, and says which line is wrong', async () => {
    const labels = [
      { request_id: 'id-1', label: 0 },
      [
        { request_id: 'id-2', label: 1, route: 'risk' },
        { request_id: 'id-3', label: 1, route: 'other' },
      ],
      { request_id: 'id-1', label: 1 },
      { request_id: 'nobody', label: 1 },
    ]
    const good = file('labels.jsonl', `${labels.map(each => JSON.stringify(each)).join('\n')}\n\n`)
    const { out } = await report(plain, '--labels', good, '--json')
    // Of id-1 the first: (0.9 − 0)² − (0.5 − 0)² = 0.56; of id-2 (0.9 − 1)² − (0.5 − 1)² = −0.24. Bins are 1 % wide.
    expect(JSON.parse(out).labels).toEqual({ n: 2, meanDifference: expect.closeTo(0.16, 2) })
    const bad = file('bad.jsonl', '{"request_id": "id-1", "label": 0}\n{"id": 1}\n')
    expect(await report(plain, '--labels', bad)).toMatchObject({
      code: 2,
      err: expect.stringContaining('bad.jsonl:2: '),
    })
    const none = await report(plain, '--labels', join(folder, 'no.jsonl'))
    expect(none).toMatchObject({ code: 2, err: expect.stringContaining('cannot be read (ENOENT)') })
    const live = await runHere(['report', 'risk', '--labels', good])
    expect(live).toMatchObject({ code: 2, err: expect.stringContaining('--labels goes with --traces') })
  })

  it('reads several files as one', async () => {
    const one = spansFile('one.jsonl', { requests: 20 })
    const { out } = await report(one, '--traces', plain, '--json')
    expect(JSON.parse(out).comparison).toMatchObject({ compared: 40, mismatches: 10 })
  })
})
