// The move that the tutorial in README tells: MLServer is live, the ONNX export of its pickle is its understudy, and ends
// up live. The routes are the tutorial's own.
import { readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import type { Verdict } from '../../src/gate/evidence.ts'
import type { Report } from '../../src/report/status.ts'
import {
  getJson,
  inParallel,
  MODELS,
  postJson,
  predict,
  startGateway,
  type TestGateway,
  understudy,
  until,
} from '../e2e/gateway.ts'
import { PEERS } from './peers.ts'
import { type RunningServer, startMlserver } from './servers.ts'
import { farthest, outputOf, traffic, v2Request } from './traffic.ts'

const START_MS = 240_000
/** Some 3,000 requests through a server in Python: well under a minute alone on two cores, minutes beside others. */
const CLIMB_MS = 480_000
const AT_ONCE = 8
const TUTORIAL = readFileSync(new URL('migration.yaml', import.meta.url), 'utf8')
const MODEL = 'tumour-risk'
const [OLD, NEW] = ['2.0.0+mlserver', '2.0.0']

describe.skipIf(PEERS === undefined)('from MLServer to the embedded export', () => {
  let mlserver: RunningServer
  let gateway: TestGateway
  const rows = traffic(MODEL)
  /** What the pickle says of each held-out row. */
  let expected: readonly (readonly number[])[]
  let isAsking = true
  const seen = new Map<string, number>()
  const wrong: string[] = []

  beforeAll(async () => {
    mlserver = await startMlserver(PEERS!, [{ name: MODEL, version: NEW }])
    const all = await postJson(`${mlserver.url}/v2/models/${MODEL}/infer`, asked(0, rows.rows.length))
    const scores = outputOf(all.json, 'predict_proba')
    expected = rows.rows.map((_, row) => scores.slice(2 * row, 2 * row + 2))
    gateway = await startGateway({ routes: placed(TUTORIAL) })
  }, START_MS)

  afterAll(() => {
    isAsking = false
  })

  /** The tutorial's routes where things are here; two routes more, of exports that are not the same. */
  function placed(text: string): string {
    const url = `model: ${MODEL}, url: ${mlserver.url}, weight: 100, mirrorable: true`
    const rename = 'rename: { outputs: { predict: label, predict_proba: probabilities } }'
    const other = (name: string, version: string, output: string) => `
  ${name}:
    live: ${OLD}
    versions: { ${OLD}: { ${url} }, ${version}: { onnx: ${MODEL}/${version}, shadow: 100, ${rename} } }
    compare: { output: ${output}, tolerance: { absolute: 1e-5 } }`
    return `${text
      .replace('http://127.0.0.1:9000', mlserver.url)
      .replace('./models', MODELS)}${other('older', '1.0.0', 'predict_proba')}${other('shaped', NEW, 'predict')}\n`
  }

  const asked = (from: number, to: number) => ({
    ...v2Request(MODEL, rows, from, to),
    outputs: [{ name: 'predict' }, { name: 'predict_proba' }],
  })

  /** One row as a client sends it; whoever answers must say what the pickle says. */
  async function ask(index: number): Promise<void> {
    const row = index % rows.rows.length
    const { status, headers, json, text } = await predict(gateway, MODEL, asked(row, row + 1), { timeoutMs: 60_000 })
    const version = String(headers['x-understudy-version'])
    seen.set(version, (seen.get(version) ?? 0) + 1)
    const isRight = status === 200 && farthest(outputOf(json, 'predict_proba'), expected[row]!) < 1e-5
    if (!isRight) wrong.push(`row ${row} by ${version}: ${status} ${text.slice(0, 200)}`)
  }

  /** Asks until the gate would let the candidate climb from `step`. */
  async function askUntilReadyAt(step: number): Promise<void> {
    let next = 0
    let last: Verdict | undefined
    await until(
      async () => {
        await inParallel(100, AT_ONCE, () => ask(next++))
        last = await verdictOf(MODEL, NEW)
        if (last.decision === 'abort' || last.decision === 'invalid') throw new Error(last.reason)
        return !isAsking || (last.decision === 'promote' && last.step === step)
      },
      { timeoutMs: CLIMB_MS / 3, what: () => `promote at ${step} %, after ${next} requests: ${last?.reason}` },
    )
  }

  const verdictOf = async (route: string, candidate: string) =>
    ((await getJson(`${gateway.admin}/v1/routes/${route}/report?candidate=${candidate}`)) as Report).verdict
  const command = (...args: string[]) => understudy([...args, MODEL, NEW, '--admin', gateway.admin])
  const weights = async () => {
    const { routes } = parse(await readFile(gateway.routesFile, 'utf8'))
    const { live, versions } = routes[MODEL]
    return { live, old: versions[OLD].weight, new: versions[NEW].weight ?? 0 }
  }

  it('promotes nothing before there is evidence', async () => {
    const { code, out, err } = await command('promote')
    expect(code, out + err).toBe(4)
    expect(await weights()).toEqual({ live: OLD, old: 100, new: 0 })
  })

  it(
    'climbs on evidence from real traffic until the export is live, and no client notices',
    async () => {
      await askUntilReadyAt(0)
      expect([...seen.keys()]).toEqual([OLD])
      const first = await command('promote')
      expect(first.code, first.out + first.err).toBe(0)
      expect(await weights()).toEqual({ live: OLD, old: 50, new: 50 })

      await askUntilReadyAt(50)
      expect(seen.get(NEW)).toBeGreaterThan(400)
      const second = await command('promote')
      expect(second.code, second.out + second.err).toBe(0)
      expect(await weights()).toEqual({ live: NEW, old: 0, new: 100 })
      expect(wrong).toEqual([])
      // Comments stay where they were.
      expect(await readFile(gateway.routesFile, 'utf8')).toContain(
        '# the export of the same pickle, inside the gateway',
      )
    },
    CLIMB_MS,
  )

  it(
    'aborts the export of an older pickle, and one whose answer has another shape, while they are shadows',
    async () => {
      for (const [route, candidate] of [
        ['older', '1.0.0'],
        ['shaped', NEW],
      ] as const) {
        await inParallel(200, AT_ONCE, async index => {
          const row = index % rows.rows.length
          const { status } = await predict(gateway, route, asked(row, row + 1), { timeoutMs: 60_000 })
          expect(status).toBe(200)
        })
        const verdict = await until(async () => {
          const now = await verdictOf(route, candidate)
          return now.decision === 'abort' ? now : undefined
        })
        expect(verdict.guilty.map(({ metric }) => metric)).toContain('disagreement')
      }
    },
    CLIMB_MS,
  )

  it('needs MLServer no longer', async () => {
    await mlserver.stop()
    seen.clear()
    await inParallel(100, AT_ONCE, ask)
    expect(wrong).toEqual([])
    expect([...seen]).toEqual([[NEW, 100]])
    const { headers, json } = await predict(gateway, MODEL, asked(0, 2))
    expect(headers['x-understudy-version']).toBe(NEW)
    expect(json.outputs.map(({ name }: { name: string }) => name)).toEqual(['predict', 'predict_proba'])
  })
})
