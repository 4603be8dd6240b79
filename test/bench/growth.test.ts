import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { type GrowthResults, renderGrowth } from '../../bench/growth/growthTable.ts'
import { makeModels } from '../../bench/growth/manyModels.ts'
import { metricSlots } from '../../bench/growth/metricSlots.ts'
import { Observations } from '../../bench/growth/observations.ts'
import { lessBusy } from '../../bench/growth/routes.ts'
import { EDITED, inferPaths, rotated, routesText } from '../../bench/growth/routesText.ts'
import { parseRoutes } from '../../src/config/load.ts'
import { seededRandom } from '../../src/load/schedule.ts'
import { readModelFolder } from '../../src/models/source.ts'
import { createOnnxScorer } from '../../src/scoring/onnx.ts'

let folder: string | undefined
afterEach(() => {
  if (folder !== undefined) rmSync(folder, { recursive: true, force: true })
  folder = undefined
})

describe('a file of many routes', () => {
  it('is valid, and its one canary has the weight asked for', () => {
    const { routes } = parseRoutes(routesText({ routes: 50, url: 'http://127.0.0.1:9', canary: 1 }), 'routes.yaml')
    expect(Object.keys(routes)).toHaveLength(51)
    expect(routes[EDITED]!.versions['1.1.0']!.weight).toBe(1)
    expect(routes[EDITED]!.versions['1.0.0']!.weight).toBe(99)
  })

  it('is asked from another place in each window, and all of it in the end', () => {
    const paths = inferPaths(5)
    const turned = rotated(paths, () => 0.5)
    expect(turned[0]).toBe('/v2/models/m2/infer')
    expect(turned.toSorted()).toEqual(paths)
  })
})

describe('metric slots', () => {
  it('are one a metric and segment, whatever number of bins a histogram has', () => {
    const slots = metricSlots(['lat.b.1', 'lat.c.9', 'late.b.n', 'loss.3', 'loss.3@a=1', 'arm.b.loss.2', 'arm.b.n'])
    expect([...slots.keys()]).toEqual(['latency', 'labels', 'labels@a=1', 'labels of arms', 'errors'])
  })
})

describe('observations', () => {
  it('count the same whether one is counted a thousand times or drawn again', () => {
    const gathered = (amount: number) => {
      const deltas = new Map([['k', new Map<string, number>()]])
      const source = new Observations('lifelike', seededRandom(7))
      for (let index = 0; index < 300; index++) source.count(deltas, 'k', true, amount)
      return deltas.get('k')!
    }
    const [once, often] = [gathered(1), gathered(1_000)]
    expect([...often]).toEqual([...once].map(([slot, amount]) => [slot, 1_000 * amount]))
    expect(once.get('pair.match')! + (once.get('pair.mismatch') ?? 0)).toBe(300)
  })
})

describe('the less busy of two threads', () => {
  it('is known where both are told apart', () => {
    expect(lessBusy([10, 20], [40, 30])).toBe(0.25)
    expect(lessBusy([10], [40])).toBeUndefined()
  })
})

describe('made models', () => {
  it('differ in their digests, load, and agree with their manifests', async () => {
    folder = mkdtempSync(join(tmpdir(), 'understudy-made-'))
    makeModels(folder, 10)
    const first = await readModelFolder(folder, 'm0/1.0.0')
    const copy = await readModelFolder(folder, 'm9/1.0.0')
    expect(copy.sha256).not.toBe(first.sha256)
    const scorer = await createOnnxScorer(readFileSync(copy.file))
    expect(scorer.signature.inputs.length).toBeGreaterThan(0)
    await scorer.close()
  })
})

describe('the tables of growth', () => {
  it('leave out what was not measured and end with the machine', () => {
    const results: GrowthResults = {
      resultsVersion: 1,
      date: '2026-01-02T00:00:00.000Z',
      machine: { cpu: 'a processor', cores: 2, system: 'linux', loadBefore: 0, loadAfter: 1 },
      node: 'v26',
      commit: 'abc',
      quick: true,
      method: { starts: 1, rounds: 1, windowSeconds: 1, connections: 1, pinned: false },
      requests: undefined,
      files: undefined,
      evidence: undefined,
      reports: undefined,
      models: { count: 100, targetSeconds: 5, starts: [] },
    }
    const text = renderGrowth(results)
    expect(text).toContain('start with 100 models')
    expect(text).not.toContain('req/s')
    expect(text).toMatch(/a processor, 2 cores.*commit abc, 2026-01-02, quick run: too short to judge by\.\n$/)
  })
})
