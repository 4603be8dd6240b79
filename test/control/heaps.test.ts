import { execFileSync } from 'node:child_process'
import { setFlagsFromString } from 'node:v8'
import { Worker } from 'node:worker_threads'
import { expect, test, vi } from 'vitest'
import { HEAP_FLAGS, SERVING_LIMITS, setHeapFlags } from '../../src/control/heaps.ts'

// V8 is told all the same.
vi.mock('node:v8', { spy: true })

const GARBAGE_MB = 128

/** Leaves garbage behind, none of which lives on, and counts the collections of young objects that it takes. */
const MEASURE = `
const { parentPort } = require('node:worker_threads')
const { GCProfiler } = require('node:v8')
const profiler = new GCProfiler()
profiler.start()
let last
for (let megabyte = 0; megabyte < ${GARBAGE_MB}; megabyte++)
  for (let kilobyte = 0; kilobyte < 1024; kilobyte++) last = new Array(126).fill(kilobyte)
parentPort.postMessage(profiler.stop().statistics.filter(({ gcType }) => gcType === 'Scavenge').length + 0 * last.length)
`

function collections(): Promise<number> {
  const worker = new Worker(MEASURE, { eval: true, execArgv: [], resourceLimits: SERVING_LIMITS })
  return new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject))
}

test('a thread that keeps nothing has room for four megabytes of young objects from its start', async () => {
  const before = await collections()
  setHeapFlags()
  const after = await collections()
  expect(before, 'V8 begins with less').toBeGreaterThan(GARBAGE_MB / 2)
  expect(after).toBeLessThanOrEqual(GARBAGE_MB / 3)
})

// What they are there for takes minutes of idleness to show.
test('V8 is told, and knows, that quiet times and light loads are not for collecting', () => {
  const known = execFileSync(process.execPath, ['--v8-options'], { encoding: 'utf8' })
  vi.mocked(setFlagsFromString).mockClear()
  setHeapFlags()
  const told = vi.mocked(setFlagsFromString).mock.calls.map(([flag]) => flag)
  for (const flag of told) expect(known).toContain(` --${/^--(?:no-)?([^=]+)/.exec(flag)![1]} (`)
  expect(told).toEqual(HEAP_FLAGS)
  expect(told).toContain('--no-memory-reducer')
  const hasLimits = known.includes(' --scavenger-updates-allocation-limit (')
  expect(told.includes('--no-scavenger-updates-allocation-limit')).toBe(hasLimits)
})
