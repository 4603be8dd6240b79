import { describe, expect, it } from 'vitest'
import { largestDifference, type V2Answer } from '../../bench/load/agreement.ts'
import { Bench } from '../../bench/load/bench.ts'
import { startPeer } from '../../bench/load/processes.ts'
import { flightRequests } from '../../bench/load/rows.ts'
import { sameAnswers } from '../../bench/load/sameAnswers.ts'
import { threadsOf } from '../../bench/load/saturation.ts'
import { renderScoring, type ScoringResults, scoringRatio } from '../../bench/load/scoringTable.ts'
import { sessionWindow } from '../../bench/load/sessionLoop.ts'
import { startSystems } from '../../bench/load/systems.ts'
import { threadTable } from '../../bench/load/table.ts'
import type { Window } from '../../bench/load/windows.ts'

const answerOf = (label: number, probability: number): V2Answer => ({
  model_version: '1.0.0',
  outputs: [
    { name: 'label', datatype: 'INT64', shape: [1], data: [label] },
    { name: 'probability', datatype: 'FP32', shape: [1, 2], data: [1 - probability, probability] },
  ],
})

describe('whether two servers did the same work', () => {
  it('is told by the largest difference of their numbers', () => {
    expect(largestDifference(answerOf(0, 0.25), answerOf(0, 0.25))).toBe(0)
    expect(largestDifference(answerOf(0, 0.25), answerOf(0, 0.26))).toBeCloseTo(0.01, 12)
  })

  it('is denied where a label, a form or a number is not there', () => {
    expect(() => largestDifference(answerOf(1, 0.25), answerOf(0, 0.25))).toThrow('the answers differ: 1 in "label"')
    const [label] = answerOf(0, 0.25).outputs
    expect(() => largestDifference({ outputs: [label!] }, answerOf(0, 0.25))).toThrow('differ in form')
    expect(() => largestDifference(answerOf(0, Number.NaN), answerOf(0, 0.25))).toThrow('the answers differ: NaN')
  })
})

describe('a ratio of scoring systems', () => {
  const pairs = [21, 22, 23, 24, 25]
  const ones = pairs.map(() => 1)

  it('is judged by the whole interval, from below where it must be large', () => {
    expect(scoringRatio('', pairs, ones, { bound: 'atLeast', value: 20 }, false).verdict).toBe('met')
    expect(scoringRatio('', pairs, ones, { bound: 'atLeast', value: 26 }, false).verdict).toBe('missed')
    expect(scoringRatio('', pairs, ones, { bound: 'atLeast', value: 23 }, false).verdict).toBe('unresolved')
    expect(scoringRatio('', pairs, ones, { bound: 'atMost', value: 26 }, false).verdict).toBe('met')
    expect(scoringRatio('', pairs, ones, { bound: 'atMost', value: 20 }, false).verdict).toBe('missed')
  })

  it('is not judged without a target, nor in a quick run', () => {
    expect(scoringRatio('', pairs, ones, undefined, false).verdict).toBeUndefined()
    expect(scoringRatio('', pairs, ones, { bound: 'atLeast', value: 20 }, true).verdict).toBeUndefined()
  })
})

describe('the table of embedded scoring', () => {
  const spread = { median: 2, low: 1, high: 3, windows: 5 }
  const results: ScoringResults = {
    resultsVersion: 1,
    date: '2026-11-29T00:00:00Z',
    machine: { cpu: 'a processor', cores: 2, system: 'linux', loadBefore: 0, loadAfter: 1 },
    node: 'v26.10.0',
    commit: 'abc',
    quick: false,
    method: {
      rounds: 5,
      windowSeconds: 1,
      warmUp: 1_000,
      loadedSeconds: 0.5,
      connections: 16,
      rows: 64,
      bodyBytes: 900,
      pinned: true,
    },
    versions: { MLServer: '1.2.3' },
    missing: ['LitServe'],
    tried: [{ server: 'MLServer', configuration: 'in process', perSecond: spread, failures: 0, taken: true }],
    agreement: [{ system: 'MLServer', largestDifference: 2e-8 }],
    systems: [
      {
        system: 'Understudy',
        perSecond: spread,
        servingUs: spread,
        treeUs: spread,
        threads: { serving: 70.24, shadow: 0.04, 'scoring processes': 25.5 },
        failures: 0,
      },
      { system: 'MLServer', perSecond: spread, servingUs: undefined, treeUs: spread, failures: 4 },
    ],
    ratios: [
      {
        question: 'ours / MLServer',
        ratio: { median: 3, low: 2.5, high: 3.5, pairs: 5 },
        target: { bound: 'atLeast', value: 20 },
        verdict: 'missed',
      },
    ],
    accounts: [],
  }

  it('tells failures, a loss, the configuration that was taken and what is not installed', () => {
    const text = renderScoring(results)
    expect(text).toContain('| MLServer | 2 (1–3) | – | 2.0 (1.0–3.0) | 4 |')
    expect(text).toContain('| µs a request by thread | serving | scoring processes |')
    expect(text).toContain('| Understudy | 70.2 | 25.5 |')
    expect(text).toContain('| ours / MLServer | 3.00 | 2.50 to 3.50 | ≥ 20.00 | missed |')
    expect(text).toContain('| MLServer, in process | 2 (1–3) | 0 | taken |')
    expect(text).toContain("the bare server's to 2e-8")
    expect(text).toContain('Not installed and so not measured: LitServe.')
  })
})

describe('the time of each thread', () => {
  const windowOf = (threadsUs: Record<string, number>) => ({ threadsUs }) as unknown as Window

  it('keeps processes that score apart from the threads of the gateway, though their names are the same', () => {
    const threads = threadsOf([
      windowOf({ 'serving-1': 70, 'node-MainThread': 3, 'child node-MainThread': 25, shadow: 40 }),
    ])
    expect(threads).toMatchObject({ serving: 70, main: 3, shadow: 40, 'scoring processes': 25 })
  })

  it('leaves out threads that nobody has, and systems that do not tell', () => {
    const text = threadTable([
      { system: 'a', threads: { serving: 1, shadow: 0.01 } },
      { system: 'b' },
      { system: 'c', threads: { serving: 0 } },
    ])
    expect(text.split('\n')).toEqual(['| µs a request by thread | serving |', '| --- | --- |', '| a | 1.0 |'])
    expect(threadTable([{ system: 'b' }])).toBe('')
  })
})

describe('the bare server', () => {
  it('answers real rows as the gateway does, and runs its session alone', { timeout: 120_000 }, async () => {
    const model = new URL('../../models/flight-delay/1.0.0/model.onnx', import.meta.url).pathname
    const peer = await startPeer('scorer', [model])
    try {
      const url = `http://127.0.0.1:${peer.ready.port}/v2/models/flight-delay/infer`
      const bare = { name: 'bare', pid: peer.pid, url, adminUrl: undefined }
      const bench = new Bench('scoring-test')
      try {
        const systems = await startSystems(bench, ['embedded, shadow off'])
        const [agreement] = await sameAnswers(systems.all, bare, flightRequests(8))
        expect(agreement!.largestDifference).toBeLessThan(1e-5)
      } finally {
        await bench.close()
      }
      const window = await sessionWindow(bare, 0.05)
      expect(window.requests).toBeGreaterThan(10)
      expect(window.treeUs ?? 1).toBeGreaterThan(0)
    } finally {
      await peer.close()
    }
  })
})
