import { readFile, writeFile } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import { content, flow } from './climbing.ts'
import { getJson, postJson, startGateway, type TestGateway, understudy, until } from './gateway.ts'

interface Entry {
  readonly kind: string
  readonly who: string
  readonly from?: string
  readonly to?: string
  readonly phase?: string
  readonly reason: string
  readonly evidenceDigest?: string
}

const risk = async (gateway: TestGateway) => (await gateway.status()).routes[0]!
const shareOf = async (gateway: TestGateway, version = '2.0.0') =>
  (await risk(gateway)).versions.find(each => each.version === version)!.weight
const historyOf = async (gateway: TestGateway) =>
  ((await getJson(`${gateway.admin}/v1/history?route=risk`)) as { entries: Entry[] }).entries
const raises = async (gateway: TestGateway) =>
  (await historyOf(gateway)).filter(({ kind, phase }) => kind === 'promote' && phase === 'applied')
const act = (gateway: TestGateway, action: string, more: object = {}) =>
  postJson(`${gateway.admin}/v1/routes/risk/${action}`, { who: 'a tester', reason: 'to see', ...more })

async function reached(gateway: TestGateway, share: number): Promise<void> {
  await until(async () => (await shareOf(gateway)) >= share, {
    timeoutMs: 90_000,
    what: () => `2.0.0 to have ${share} %: ${gateway.log().slice(-2000)}`,
  })
}

describe('a route in mode auto', () => {
  it('raises a proven version step by step to live by itself, and edits routes.yaml', {
    timeout: 300_000,
  }, async () => {
    const gateway = await startGateway({ routes: content() })
    const traffic = flow(() => gateway)
    await until(async () => (await risk(gateway)).live === '2.0.0', {
      timeoutMs: 180_000,
      what: () => gateway.log().slice(-3000),
    })
    const applied = await raises(gateway)
    expect(applied.map(({ who, from, to }) => [who, from, to])).toEqual([
      ['auto', '0 %', '20 %'],
      ['auto', '20 %', '60 %'],
      ['auto', '1.0.0', '2.0.0'],
    ])
    for (const { evidenceDigest, reason } of applied) {
      expect(evidenceDigest).toMatch(/^[0-9a-f]{64}$/)
      expect(reason).toMatch(/2\.0\.0 is shown no worse than 1\.0\.0/)
    }
    expect(await shareOf(gateway)).toBe(100)
    expect(await readFile(gateway.routesFile, 'utf8')).toMatch(/"live": "?2\.0\.0/)
    // It is done: the old live is no candidate, however it does.
    await new Promise(resolve => setTimeout(resolve, 3_000))
    expect((await risk(gateway)).automatic).toEqual({ mode: 'auto' })
    expect(await raises(gateway)).toHaveLength(3)
    await traffic.stop()
    await gateway.stop()
  })

  it('takes a version that turns out worse to zero and leaves it there', { timeout: 300_000 }, async () => {
    const gateway = await startGateway({
      routes: content(
        {},
        {},
        { expect: 'same', labels: undefined, gate: { disagreement: 0.01, exposure: { requests: 50, for: '0s' } } },
      ),
    })
    const traffic = flow(() => gateway)
    const latched = await until(
      async () => (await risk(gateway)).versions.find(({ version }) => version === '2.0.0')!.latched,
      { timeoutMs: 90_000, what: () => gateway.log().slice(-2000) },
    )
    expect(latched.kind).toBe('abort')
    await new Promise(resolve => setTimeout(resolve, 3_000))
    expect(await shareOf(gateway)).toBe(0)
    expect(await raises(gateway)).toEqual([])
    await traffic.stop()
    await gateway.stop()
  })

  it('stays where it is while it is paused, over a restart, and goes on when it is resumed', {
    timeout: 300_000,
  }, async () => {
    let gateway = await startGateway({ routes: content() })
    const traffic = flow(() => gateway)
    await reached(gateway, 20)
    const paused = await act(gateway, 'pause', { reason: 'a holiday' })
    expect([paused.status, paused.json.applied]).toEqual([200, true])
    const at = await shareOf(gateway)
    const again = await understudy(['pause', 'risk', '--reason', 'another', '--admin', gateway.admin])
    expect([again.code, again.out, again.err]).toEqual([0, 'pause of risk was done before: no share changed\n', ''])

    await gateway.kill()
    const file = await readFile(gateway.routesFile, 'utf8')
    gateway = await startGateway({ routes: file, folder: gateway.folder })
    const ready = async () => {
      const { candidates } = await risk(gateway)
      return candidates.find(({ version }) => version === '2.0.0')?.verdict.decision === 'promote'
    }
    await until(ready, { timeoutMs: 90_000, what: () => 'a verdict promote while it is paused' })
    await new Promise(resolve => setTimeout(resolve, 2_500))
    expect(await shareOf(gateway)).toBe(at)
    const { automatic } = await risk(gateway)
    expect(automatic).toMatchObject({
      mode: 'auto',
      paused: { reason: 'a holiday' },
      waitingFor: expect.stringMatching(/^paused by .*: a holiday$/),
    })
    // A person still may.
    const rehearsal = await act(gateway, 'promote', { candidate: '2.0.0', dryRun: true })
    expect(rehearsal.status).toBe(200)

    const resumed = await understudy(['resume', 'risk', '--admin', gateway.admin])
    expect({ code: resumed.code, err: resumed.err }).toEqual({ code: 0, err: '' })
    await until(async () => (await risk(gateway)).live === '2.0.0', { timeoutMs: 180_000, what: () => gateway.log() })
    const kinds = (await historyOf(gateway)).map(({ kind }) => kind)
    expect(kinds).toEqual(expect.arrayContaining(['pause', 'resume']))
    expect(kinds.filter(kind => kind === 'pause')).toHaveLength(1)
    expect((await raises(gateway)).map(({ to }) => to)).toEqual(['20 %', '60 %', '2.0.0'])
    await traffic.stop()
    await gateway.stop()
  })

  it('that is killed again and again goes on from where it was, and raises nothing twice', {
    timeout: 300_000,
  }, async () => {
    let gateway = await startGateway({ routes: content() })
    const traffic = flow(() => gateway)
    for (const share of [20, 60]) {
      await reached(gateway, share)
      await gateway.kill()
      const file = await readFile(gateway.routesFile, 'utf8')
      gateway = await startGateway({ routes: file, folder: gateway.folder })
      expect(await shareOf(gateway)).toBeGreaterThanOrEqual(share)
    }
    await until(async () => (await risk(gateway)).live === '2.0.0', { timeoutMs: 180_000, what: () => gateway.log() })
    expect((await raises(gateway)).map(({ to }) => to)).toEqual(['20 %', '60 %', '2.0.0'])
    await traffic.stop()
    await gateway.stop()
  })

  it('is stopped by a person’s abort, which latches', { timeout: 300_000 }, async () => {
    const gateway = await startGateway({ routes: content({ every: '1h' }) })
    const traffic = flow(() => gateway)
    await reached(gateway, 20)
    const aborted = await understudy(['abort', 'risk', '2.0.0', '--reason', 'a hunch', '--admin', gateway.admin])
    expect({ code: aborted.code, err: aborted.err }).toEqual({ code: 0, err: '' })
    const had = (await raises(gateway)).length
    await new Promise(resolve => setTimeout(resolve, 4_000))
    expect(await shareOf(gateway)).toBe(0)
    expect((await risk(gateway)).versions.find(({ version }) => version === '2.0.0')!.latched).toMatchObject({
      kind: 'abort',
      reason: 'a hunch',
    })
    expect(await raises(gateway)).toHaveLength(had)
    await traffic.stop()
    await gateway.stop()
  })

  it('applies a raise that was held when somebody wrote it, as soon as it is earned', {
    timeout: 300_000,
  }, async () => {
    const gateway = await startGateway({ routes: content() })
    const text = content(
      {},
      {
        '1.0.0': { onnx: 'tumour-risk/1.0.0', weight: 40 },
        '2.0.0': { onnx: 'tumour-risk/2.0.0', shadow: 100, weight: 60 },
      },
    )
    await writeFile(gateway.routesFile, text)
    await until(async () => (await risk(gateway)).held.length > 0)
    const traffic = flow(() => gateway)
    await reached(gateway, 60)
    await traffic.stop()
    await gateway.stop()
  })
})
