// What a routes file of 10,000 routes costs besides requests: validate, start, a reload of one weight, doing nothing.
import { execFile } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { MEASURED, pinned } from '../load/pinning.ts'
import { cpuOf, residentBytesOf } from '../load/procfs.ts'
import { type Spread, spreadOf } from '../load/statistics.ts'
import { pause } from '../load/windows.ts'
import type { GrowthBench } from './bench.ts'
import { CANARY, EDITED, routesText } from './routesText.ts'

/** Of one gateway; seconds and the rest as medians of `starts` of them. */
export interface FileCosts {
  readonly routes: number
  readonly fileBytes: number
  readonly validateSeconds: Spread
  /** From the start of the process until both listeners are up, with a new state folder. */
  readonly startSeconds: Spread
  /** From the write of the file, one weight changed, until a serving thread serves it. */
  readonly reloadSeconds: Spread
  /** Processor time of all threads without a request, ms a second. */
  readonly idleMsPerSecond: Spread | undefined
  readonly residentMiB: Spread | undefined
}

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url))
const LOOK_MS = 10
const RELOAD_DEADLINE_MS = 120_000
/** The tick of state and verdicts is a second long, and the start leaves garbage to collect. */
const SETTLE_MS = 2_000

export async function fileCosts(bench: GrowthBench, routes: number, starts: number): Promise<FileCosts> {
  // Nobody is asked for a prediction, so nobody need listen there.
  const text = (canary: number) => routesText({ routes: routes - 1, url: 'http://127.0.0.1:9', canary })
  const file = join(bench.home(), 'routes.yaml')
  writeFileSync(file, text(1))
  const [validate, start, reload, idle, resident] = [[], [], [], [], []] as number[][]
  for (let turn = 0; turn < starts; turn++) {
    bench.tell(
      `${routes} ${routes === 1 ? 'route' : 'routes'}: validate, start, reload, idle, ${turn + 1} of ${starts}`,
    )
    const [command, ...args] = pinned(MEASURED, [process.execPath, MAIN, 'validate', '--routes', file])
    validate!.push(await seconds(() => promisify(execFile)(command!, args, { maxBuffer: 64 * 1024 * 1024 })))
    const home = bench.home()
    let gateway: Awaited<ReturnType<GrowthBench['gateway']>> | undefined
    start!.push(await seconds(async () => (gateway = await bench.gateway(text(1), { home, processor: MEASURED }))))
    const { pid, ready } = gateway!
    await pause(SETTLE_MS)
    const before = cpuOf(pid)
    const idleSeconds = await seconds(() => pause(bench.quick ? 2_000 : 5_000))
    if (before !== undefined) idle!.push((cpuOf(pid)!.treeNs - before.treeNs) / 1e6 / idleSeconds)
    for (const canary of [0, 1]) {
      writeFileSync(join(home, 'routes.yaml'), text(canary))
      // A version without weight takes no traffic and so is not ready.
      reload!.push(await seconds(() => readiness(ready.port, canary > 0)))
    }
    const bytes = residentBytesOf(pid)
    if (bytes !== undefined) resident!.push(bytes / 1024 / 1024)
    await bench.end(gateway!)
  }
  return {
    routes,
    fileBytes: Buffer.byteLength(text(1)),
    validateSeconds: spreadOf(validate!),
    startSeconds: spreadOf(start!),
    reloadSeconds: spreadOf(reload!),
    idleMsPerSecond: idle!.length === 0 ? undefined : spreadOf(idle!),
    residentMiB: resident!.length === 0 ? undefined : spreadOf(resident!),
  }
}

/** Waits until the canary is ready, or is not. */
async function readiness(port: number, wanted: boolean): Promise<void> {
  const deadline = performance.now() + RELOAD_DEADLINE_MS
  while (true) {
    const { status } = await fetch(`http://127.0.0.1:${port}/v2/models/${EDITED}/versions/${CANARY}/ready`)
    if (status === (wanted ? 200 : 503)) return
    if (performance.now() > deadline) throw new Error(`the reload was not served in time: the canary says ${status}`)
    await pause(LOOK_MS)
  }
}

export async function seconds(work: () => Promise<unknown>): Promise<number> {
  const startedAt = performance.now()
  await work()
  return (performance.now() - startedAt) / 1_000
}
