// Where a thread's time goes, with the shadow off and on (or hung): self time by function, µs a request, and the difference.
// `node bench/load/profile.ts [embedded|HTTP|hung] [serving|shadow] [REQUESTS]`
// Sampling costs time itself, and a thread that is preempted seems to work: read it for ranks, not for totals.
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Bench } from './bench.ts'
import { flightRequests } from './rows.ts'
import { type SystemName, startSystems } from './systems.ts'

interface Profile {
  readonly nodes: readonly {
    readonly id: number
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number }
  }[]
  readonly samples: readonly number[]
  readonly timeDeltas: readonly number[]
}

const INTERVAL_US = 200
const SHOWN = 45
const PAIRS: Readonly<Record<string, readonly [off: SystemName, on: SystemName]>> = {
  embedded: ['embedded, shadow off', 'embedded, shadow on'],
  HTTP: ['HTTP, shadow off', 'HTTP, shadow on'],
  hung: ['HTTP, shadow off', 'HTTP, shadow hung'],
}
const ENTRIES: Readonly<Record<string, string>> = { serving: '/serving/predict.ts', shadow: '/shadow/thread.ts' }

const [version = 'embedded', thread = 'serving', count = '40000'] = process.argv.slice(2)
const requests = Number(count)
const names = PAIRS[version]
const entry = ENTRIES[thread]
if (names === undefined || entry === undefined)
  throw new Error('expected embedded, HTTP or hung, then serving or shadow')

const folder = mkdtempSync(join(tmpdir(), 'understudy-profile-'))
try {
  const pids = await load(names)
  const [off, on] = pids.map(pid => profileOf(pid, entry))
  print(off!, on!)
} finally {
  rmSync(folder, { recursive: true, force: true })
}

async function load(names: readonly SystemName[]): Promise<number[]> {
  const flags = ['--cpu-prof', `--cpu-prof-dir=${folder}`, `--cpu-prof-interval=${INTERVAL_US}`]
  const bench = new Bench('profile')
  try {
    const systems = await startSystems(bench, names, flags)
    const bodies = flightRequests(64)
    for (const name of names) {
      const { url } = systems.get(name)
      const result = await bench.generator.run({ mode: 'closed', url, bodies, connections: 16, requests, seconds: 120 })
      process.stderr.write(`${name}: ${Math.round(result.perSecond)} requests a second\n`)
    }
    return names.map(name => systems.get(name).pid)
  } finally {
    // Profiles are written when the threads end.
    await bench.close()
  }
}

/** Self time by function of the thread that ran `entry`, ms. */
function profileOf(pid: number, entry: string): Map<string, number> {
  const profiles = readdirSync(folder)
    .filter(file => file.split('.')[3] === String(pid))
    .map(file => JSON.parse(readFileSync(join(folder, file), 'utf8')) as Profile)
  const profile = profiles.find(({ nodes }) => nodes.some(({ callFrame }) => callFrame.url.endsWith(entry)))
  if (profile === undefined) throw new Error(`no profile of that thread in process ${pid}`)
  const labels = new Map(profile.nodes.map(({ id, callFrame }) => [id, labelOf(callFrame)]))
  const selfMs = new Map<string, number>()
  for (const [index, id] of profile.samples.entries()) {
    const label = labels.get(id)!
    selfMs.set(label, (selfMs.get(label) ?? 0) + profile.timeDeltas[index]! / 1000)
  }
  return selfMs
}

function labelOf({ functionName, url, lineNumber }: Profile['nodes'][number]['callFrame']): string {
  const file = url.split('/').slice(-2).join('/')
  return `${functionName || '(anonymous)'} ${file === '' ? '' : `${file}:${lineNumber + 1}`}`.trim()
}

function print(off: ReadonlyMap<string, number>, on: ReadonlyMap<string, number>): void {
  const perRequestUs = (selfMs: number | undefined) => ((selfMs ?? 0) * 1000) / requests
  const rows = [...new Set([...off.keys(), ...on.keys()])]
    .filter(label => label !== '(idle)')
    .map(label => ({ label, off: perRequestUs(off.get(label)), on: perRequestUs(on.get(label)) }))
  const total = (side: 'off' | 'on') => rows.reduce((sum, row) => sum + row[side], 0)
  const line = (offUs: number, onUs: number, label: string) =>
    `${offUs.toFixed(2).padStart(9)}${onUs.toFixed(2).padStart(9)}${(onUs - offUs).toFixed(2).padStart(9)}  ${label}\n`
  process.stdout.write(`self µs per request, ${thread} thread, ${version}\n      off       on     more  function\n`)
  process.stdout.write(line(total('off'), total('on'), 'all but idle'))
  process.stdout.write('by difference\n')
  for (const row of rows.toSorted((a, b) => b.on - b.off - (a.on - a.off)).slice(0, SHOWN)) {
    process.stdout.write(line(row.off, row.on, row.label))
  }
  process.stdout.write('by cost\n')
  for (const row of rows.toSorted((a, b) => b.on - a.on).slice(0, SHOWN)) {
    process.stdout.write(line(row.off, row.on, row.label))
  }
}
