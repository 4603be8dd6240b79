import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll } from 'vitest'
import { CODECS } from '../../src/protocols/codecs.ts'
import { createOnnxScorer } from '../../src/scoring/onnx.ts'
import { ScoringProcess } from '../../src/scoring/pool.ts'
import type { Scorer } from '../../src/scoring/scorer.ts'
import { Upstream } from '../../src/scoring/upstream.ts'
import { upstreamScorer } from '../../src/scoring/upstreamScorer.ts'
import { MODELS, manifestOf, routesOf, startGateway, type TestGateway } from '../e2e/gateway.ts'
import { scorerContract } from './scorer.ts'

const manifest = manifestOf('tumour-risk', '1.0.0')
const file = join(MODELS, 'tumour-risk', '1.0.0', 'model.onnx')

scorerContract('a session in this process', manifest, async () => createOnnxScorer(await readFile(file)))

// The model is linear and so answers with other last bits in a shared run; its golden rows do not show it.
const other = manifestOf('tumour-risk', '1.1.0')
scorerContract('a session whose runs are shared', other, async () => {
  const scorer = await createOnnxScorer(await readFile(join(MODELS, 'tumour-risk', '1.1.0', 'model.onnx')))
  return { ...scorer, score: (inputs, deadlineMs) => scorer.score(inputs, deadlineMs, { shares: true }) }
})

const process_ = new ScoringProcess()
afterAll(() => process_.stop())
scorerContract('a scoring process', manifest, async () => {
  await process_.load({ file, sha256: manifest.sha256, golden: manifest.golden })
  return process_.scorer(manifest.sha256)
})

let gateway: Promise<TestGateway> | undefined
scorerContract('a V2 server over HTTP', manifest, async (): Promise<Scorer> => {
  gateway ??= startGateway({
    routes: routesOf({ risk: { live: '1.0.0', versions: { '1.0.0': { onnx: 'tumour-risk/1.0.0', weight: 100 } } } }),
  })
  const { predictions } = await gateway
  const upstream = new Upstream({
    urls: [predictions],
    connectMs: 1_000,
    firstByteMs: 5_000,
    maxAnswerBytes: 1 << 20,
    connections: 8,
  })
  return upstreamScorer(upstream, CODECS.v2, 'risk', [])
})
