import { expect, test } from 'vitest'
import { parseRoutes } from '../../src/config/load.ts'
import type { EvidenceBook } from '../../src/control/evidence.ts'
import { unreadable, Verdicts } from '../../src/control/verdicts.ts'
import type { Policy } from '../../src/gate/evidence.ts'
import { judge } from '../../src/gate/verdict.ts'
import { sampleEvidence } from './sampleEvidence.ts'

const configOf = (gate: string) =>
  parseRoutes(
    `routes:
  m:
    live: 1.0.0
    versions:
      1.0.0: { onnx: m/1.0.0, weight: 100 }
      2.0.0: { onnx: m/2.0.0, shadow: 100 }
    gate: { ${gate} }
`,
    'routes.yaml',
  )
const lax = configOf('disagreement: 0.1, exposure: { requests: 10, for: 1s }')
const strict = configOf('disagreement: 0.001, exposure: { requests: 10, for: 1s }')
const policyOf = (config: typeof lax): Policy => config.routes.m!
const verdicts = new Verdicts({ evidence: () => sampleEvidence, total: () => new Map() } as unknown as EvidenceBook)
const decide = (config: typeof lax, storeOk: boolean, next?: Policy) =>
  verdicts.now(config, 'm', '2.0.0', storeOk, next)?.decision

test('of the policy that serves and the one of a save the worse verdict counts', () => {
  expect(judge(sampleEvidence, policyOf(lax)).decision).toBe('promote')
  expect(judge(sampleEvidence, policyOf(strict)).decision).not.toBe('promote')
  expect(decide(lax, true)).toBe('promote')
  expect(decide(lax, true, policyOf(lax))).toBe('promote')
  expect(decide(lax, true, policyOf(strict))).not.toBe('promote')
  expect(decide(strict, true, policyOf(lax))).not.toBe('promote')
})

test('nothing is promoted while the store fails, nor on evidence that cannot be read', () => {
  expect(decide(lax, false)).toBe('hold')
  expect(unreadable('m', '2.0.0', '1.0.0', 5)).toMatchObject({ decision: 'hold', stage: 'canary', step: 5 })
})

test('samples of versions that left are forgotten', () => {
  verdicts.sample('m', '2.0.0', 0)
  verdicts.sample('m', '2.0.0', 2_000)
  verdicts.keep(new Set())
  expect(verdicts.rates('m', '2.0.0')).toEqual({ comparisons: 0, labels: 0, requests: 0 })
})
