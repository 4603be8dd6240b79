// What the wire costs: 64 KB bodies that pass untouched beside a bare proxy, and spans of one request in a hundred.
// `node bench/load/wire.ts [--quick] [--rounds N] [--out FILE]`
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { seededRandom } from '../../src/load/schedule.ts'
import { Bench } from './bench.ts'
import { canPin, MEASURED, pinToFirst } from './pinning.ts'
import type { Running } from './processes.ts'
import { machineLoad } from './procfs.ts'
import { flightRequests } from './rows.ts'
import { runFacts, saturating, summaryOf, timesOf } from './saturation.ts'
import { judgeTarget, pairedDifference, pairedRatio } from './statistics.ts'
import type { System } from './systems.ts'
import { pause, runWindows } from './windows.ts'
import { renderWire, type WireResults } from './wireTable.ts'

const { values: given } = parseArgs({
  options: { quick: { type: 'boolean', default: false }, out: { type: 'string' }, rounds: { type: 'string' } },
})
const rounds = given.rounds === undefined ? (given.quick ? 3 : 100) : Number(given.rounds)
const WINDOW_SECONDS = 0.4
const CONNECTIONS = 8
const WARM_UP = given.quick ? 500 : 5_000
const PASSED_BYTES = 64 * 1024
const PASS_TARGET = 1.3
const SPANS_TARGET_US = 2
const SEED = 20_130_101
/** A trace that every sampler keeps: code that sees one request in a hundred would stay cold for all of a benchmark. */
const KEPT = ['traceparent', `00-${'f'.repeat(32)}-00f067aa0ba902b7-01`]

const random = seededRandom(SEED)
// Before anything is started: it inherits where it may run.
pinToFirst()
const bench = new Bench('wire')
await bench.measured(measure, renderWire, given.out)

async function measure(): Promise<WireResults> {
  const loadBefore = machineLoad()
  const echo = await bench.start('echo')
  const model = await bench.start('upstream')
  const proxy = await bench.start('proxy', [`http://127.0.0.1:${echo.ready.port}`], { processor: MEASURED })
  const passing = [
    {
      name: 'bare proxy',
      pid: proxy.pid,
      url: `http://127.0.0.1:${proxy.ready.port}/v2/models/m/infer`,
      adminUrl: undefined,
    },
    await gateway('gateway', echo, 'ratio: 0'),
    await gateway('gateway again', echo, 'ratio: 0'),
  ] as const
  const telling = [
    await gateway('spans off', model, 'ratio: 0'),
    await gateway('spans off again', model, 'ratio: 0'),
    await gateway('spans of 1 %', model, `ratio: 0.01, file: ${join(bench.folder, 'spans.jsonl')}`),
    await gateway('spans of all', model, `ratio: 1, file: ${join(bench.folder, 'all.jsonl')}`),
  ] as const
  const large = [
    JSON.stringify({ inputs: [{ name: 'x', datatype: 'BYTES', shape: [1], data: ['x'.repeat(PASSED_BYTES - 77)] }] }),
  ]
  const small = flightRequests(64)
  const bodiesOf = (system: System) => (passing.includes(system as never) ? large : small)
  const warming = { requests: WARM_UP, seconds: 60, headers: ['content-type', 'application/json', ...KEPT] }
  for (const system of [...passing, ...telling])
    await bench.generator.run({ ...saturating(system, bodiesOf(system), CONNECTIONS, WINDOW_SECONDS), ...warming })
  await pause(1_000)
  const measured = (block: readonly System[], rounds: number) =>
    runWindows(
      bench.generator,
      [block],
      rounds,
      random,
      system => saturating(system, bodiesOf(system), CONNECTIONS, WINDOW_SECONDS),
      round => process.stderr.write(`round ${round} of ${rounds}\n`),
    )
  const windows = new Map([...(await measured(passing, Math.ceil(rounds / 2))), ...(await measured(telling, rounds))])
  const figures = (name: string, figure: 'treeUs' | 'servingUs') => timesOf(windows.get(name)!, figure)
  const ratio = (question: string, over: string, under: string, figure: 'treeUs' | 'servingUs', target?: number) => {
    const found = pairedRatio(figures(over, figure), figures(under, figure))
    return {
      question,
      ratio: found,
      target,
      verdict: target === undefined || given.quick ? undefined : judgeTarget(found, target),
    }
  }
  // A window of the serving thread differs from the next by ten times what is looked for. It does for each kept request the
  // same, so what all of them cost it is a hundred times what one in a hundred does; the other threads are steady.
  const others = (name: string) => figures(name, 'treeUs').map((us, index) => us - figures(name, 'servingUs')[index]!)
  const servingShare = figures('spans of all', 'servingUs').map(
    (us, index) => (us - figures('spans off', 'servingUs')[index]!) / 100,
  )
  const apart = pairedDifference(
    others('spans of 1 %').map((us, index) => us + servingShare[index]!),
    others('spans off'),
  )
  const noise = pairedDifference(others('spans off again'), others('spans off'))
  const whole = pairedDifference(figures('spans of 1 %', 'treeUs'), figures('spans off', 'treeUs'))
  return {
    ...runFacts(loadBefore, given.quick),
    method: {
      rounds,
      windowSeconds: WINDOW_SECONDS,
      connections: CONNECTIONS,
      passedBytes: large[0]!.length,
      pinned: canPin,
    },
    systems: [...passing, ...telling].map(({ name }) => ({ system: name, ...summaryOf(windows.get(name)!) })),
    comparisons: [
      ratio('CPU of all processes, 64 KB passed, gateway / bare proxy', 'gateway', 'bare proxy', 'treeUs', PASS_TARGET),
      ratio('the same, serving thread', 'gateway', 'bare proxy', 'servingUs'),
      ratio('gateway / the same gateway: what noise alone makes', 'gateway again', 'gateway', 'treeUs'),
      ratio('serving-thread CPU, spans of 1 % / off', 'spans of 1 %', 'spans off', 'servingUs'),
      ratio('spans off / off: what noise alone makes', 'spans off again', 'spans off', 'servingUs'),
    ],
    spans: {
      apartUs: apart,
      noiseUs: noise,
      wholeUs: whole,
      servingUs: pairedDifference(
        servingShare,
        servingShare.map(() => 0),
      ),
      targetUs: SPANS_TARGET_US,
      verdict: given.quick ? undefined : judgeTarget(apart, SPANS_TARGET_US),
    },
  }
}

async function gateway(name: string, to: Running, traces: string): Promise<System> {
  const home = bench.home()
  const routes = join(home, 'routes.yaml')
  writeFileSync(
    routes,
    `drain: { delay: 0s, deadline: 5s }
traces: { ${traces} }
routes:
  m:
    live: 1.0.0
    versions: { 1.0.0: { url: "http://127.0.0.1:${to.ready.port}", weight: 100 } }
`,
  )
  const { pid, ready } = await bench.start('gateway', [routes, join(home, 'state')], { processor: MEASURED })
  return { name, pid, url: `http://127.0.0.1:${ready.port}/v2/models/m/infer`, adminUrl: undefined }
}
