import { afterAll, expect, it } from 'vitest'
import { parseRoutes } from '../../src/config/load.ts'
import type { KnownVersion } from '../../src/control/models.ts'
import { buildSnapshot } from '../../src/control/snapshot.ts'
import type { OnnxTarget, Snapshot, UpstreamTarget } from '../../src/rollout/snapshot.ts'
import type { ScoringProcess } from '../../src/scoring/pool.ts'
import { Targets } from '../../src/shadow/targets.ts'
import { Task } from '../../src/shadow/task.ts'
import { routeParts } from '../control/routeParts.ts'
import { closedAddress } from '../e2e/upstream.ts'
import { recordOf } from './remembered.ts'

const opened: Targets[] = []
afterAll(async () => {
  await Promise.all(opened.map(targets => targets.close()))
})

function targets(): Targets {
  const load = () => Promise.reject(new Error('it does not load'))
  const made = new Targets({ load } as unknown as ScoringProcess)
  opened.push(made)
  return made
}

/** A route with live 1.0.0 and these versions, which nothing is known against. */
function snapshotOf(revision: number, versions: Record<string, Record<string, unknown>>): Snapshot {
  const all = { '1.0.0': { url: 'http://127.0.0.1:1', weight: 100 }, ...versions }
  const config = parseRoutes(JSON.stringify({ routes: { m: { live: '1.0.0', versions: all } } }), 'routes.yaml', {})
  const route = config.routes.m!
  const known = (version: string): KnownVersion => ({
    manifest: undefined,
    described: '',
    identityVerified: false,
    digest: version,
    broken: undefined,
    target: targetOf(route.versions[version]!.url),
  })
  const keys = new Map(Object.keys(versions).map(version => [version, version]))
  return buildSnapshot(revision, config, [routeParts('m', route, { known, keys })])
}

function targetOf(url: string | string[] | undefined): OnnxTarget | UpstreamTarget {
  if (url === undefined)
    return { kind: 'onnx', file: 'none', sha256: '0', inputs: [], outputs: [], features: [], p99Ms: 0 }
  const urls = [url].flat()
  return { kind: 'url', urls, protocol: 'v2', model: 'm', hasPath: false, connectMs: 100, firstByteMs: 100 }
}

function wordOf(snapshot: Snapshot, version: string): Int32Array | undefined {
  const found = snapshot.routes[0]!.versions.find(each => each.version === version)!
  return found.stalled && new Int32Array(found.stalled)
}

it('is told to serving threads of shadows that get all they are meant to get, and of no others', () => {
  const snapshot = snapshotOf(1, {
    '2.0.0': { url: 'http://127.0.0.1:1', shadow: 10, mirrorable: true },
    '2.1.0': { url: 'http://127.0.0.1:1', shadow: { percent: 100, max: '5/s' }, mirrorable: true },
    '2.2.0': { url: 'http://127.0.0.1:1' },
  })
  const told = ['1.0.0', '2.0.0', '2.1.0', '2.2.0'].map(version => wordOf(snapshot, version) !== undefined)
  expect(told).toEqual([false, true, false, false])
})

it('stays told over a revision, in the new one alone', async () => {
  const url = await closedAddress()
  const versions = { '2.0.0': { url, shadow: { percent: 100, batch: 1, unbatched: 100 }, mirrorable: true } }
  const [first, second] = [snapshotOf(1, versions), snapshotOf(2, versions)]
  const all = targets()
  await all.apply(first)
  const [route] = first.routes
  const mirror = all.of(route!, route!.versions[1]!, 'shadow')!
  const word = wordOf(first, '2.0.0')!
  const ignored = { observed: () => {}, dropped: () => {}, notSampled: () => {} }
  for (const end = performance.now() + 10_000; word[0] === 0 && performance.now() < end; ) {
    mirror.offer(new Task(recordOf({ path: '/v2/models/m/infer' }), route!), ignored)
    mirror.pump()
    await new Promise(resolve => setTimeout(resolve, 5))
  }
  expect(word[0], 'nobody is there').toBe(1)
  await all.apply(second)
  expect([word[0], wordOf(second, '2.0.0')![0]]).toEqual([0, 1])
})

it('is taken back of what a thread left that died, also where the version does not open any more', async () => {
  const snapshot = snapshotOf(1, { '2.0.0': { onnx: 'm/2.0.0', shadow: 100 } })
  const word = wordOf(snapshot, '2.0.0')!
  word[0] = 1
  expect(await targets().apply(snapshot)).toMatchObject([{ version: 'm/2.0.0', message: 'it does not load' }])
  expect(word[0]).toBe(0)
})
