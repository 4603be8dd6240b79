import { expect, it } from 'vitest'
import { type ThreadLoop, Vitals } from '../../src/control/vitals.ts'
import { Metrics } from '../../src/telemetry/metrics.ts'
import { VERSION } from '../../src/version.ts'
import { parseExposition } from '../telemetry/exposition.ts'

const GOOD = { ready: true, configValid: true, storeUp: true }

function vitals() {
  let loops: readonly ThreadLoop[] = []
  const read = new Vitals({ metrics: new Metrics(), startedAt: 1_700_000_000_500, loops: () => loops })
  /** What is told of threads, by name, after these loops were read. */
  const busy = async (now: readonly ThreadLoop[]) => {
    loops = now
    const { families, problems } = parseExposition((await read.text('plain', GOOD)).body)
    expect(problems).toEqual([])
    const { samples } = families.get('understudy_thread_busy_seconds_total')!
    return Object.fromEntries(samples.map(({ labels, value }) => [labels.thread, value]))
  }
  return { read, busy }
}

const loop = (thread: string, id: number, busyMs: number): ThreadLoop => ({ thread, id, busyMs })

it('tells when the process started, what it is, and how it is', async () => {
  const { read } = vitals()
  const { body } = await read.text('plain', { ready: false, configValid: true, storeUp: false })
  const { value } = parseExposition(body)
  expect(value('process_start_time_seconds')).toBe(1_700_000_000.5)
  expect(value(`understudy_build_info{version="${VERSION}"}`)).toBe(1)
  expect(['ready', 'config_valid', 'state_store_up'].map(name => value(`understudy_${name}`))).toEqual([0, 1, 0])
})

it('counts the CPU time of the process once, however often it is asked', async () => {
  const { read } = vitals()
  for (let asked = 0; asked < 5; asked++) {
    const { value } = parseExposition((await read.text('plain', GOOD)).body)
    const { user, system } = process.cpuUsage()
    expect(value('process_cpu_seconds_total')).toBeGreaterThan(0)
    expect(value('process_cpu_seconds_total')).toBeLessThanOrEqual((user + system) / 1e6)
  }
})

it('counts on where a thread was started again under its name', async () => {
  const { busy } = vitals()
  expect(await busy([loop('shadow', 1, 3000)])).toEqual({ shadow: 3 })
  expect(await busy([loop('shadow', 7, 500)])).toEqual({ shadow: 3.5 })
  expect(await busy([loop('shadow', 7, 700)])).toEqual({ shadow: 3.7 })
})

it('never counts back nor twice where a reading seems to go back', async () => {
  const { busy } = vitals()
  expect(await busy([loop('serving-1', 1, 3000)])).toEqual({ 'serving-1': 3 })
  expect(await busy([loop('serving-1', 1, 2990)])).toEqual({ 'serving-1': 3 })
  expect(await busy([loop('serving-1', 1, 3010)])).toEqual({ 'serving-1': 3.01 })
})

it('forgets a thread that has ended', async () => {
  const { busy } = vitals()
  await busy([loop('serving-1', 1, 3000), loop('serving-2', 2, 1000)])
  expect(await busy([loop('serving-2', 2, 1000), loop('serving-3', 3, 0)])).toEqual({ 'serving-2': 1, 'serving-3': 0 })
})
