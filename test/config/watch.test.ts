import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { hashBytes, type LoadedRoutes } from '../../src/config/load.ts'
import { type RoutesWatch, type WatchOptions, watchRoutes } from '../../src/config/watch.ts'

const routes = (weight: number) =>
  `routes: { m: { live: 1.0.0, versions: { 1.0.0: { onnx: a, weight: ${weight} }, 1.1.0: { onnx: b, weight: ${100 - weight} } } } }\n`

/** Timers that run when told, in order of their time. */
class Clock {
  now = 0
  readonly #due = new Map<object, { at: number; run: () => void }>()

  set(run: () => void, ms: number): unknown {
    const timer = {}
    this.#due.set(timer, { at: this.now + ms, run })
    return timer
  }

  clear(timer: unknown): void {
    this.#due.delete(timer as object)
  }

  get size(): number {
    return this.#due.size
  }

  pass(ms: number): void {
    const end = this.now + ms
    while (true) {
      const next = [...this.#due].filter(([, { at }]) => at <= end).sort(([, a], [, b]) => a.at - b.at)[0]
      if (next === undefined) break
      this.#due.delete(next[0])
      this.now = next[1].at
      next[1].run()
    }
    this.now = end
  }
}

let folder: string
let file: string
let clock: Clock
let changes: number[]
let problems: string[]
let fire: () => void
let fail: () => void
let watches: number
let open: RoutesWatch[]

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'understudy-watch-'))
  file = join(folder, 'routes.yaml')
  clock = new Clock()
  changes = []
  problems = []
  watches = 0
  open = []
})
afterEach(() => {
  for (const watch of open) watch.close()
  rmSync(folder, { recursive: true })
})

const weightOf = ({ config }: LoadedRoutes) => config.routes.m!.versions['1.0.0']!.weight

function start(text: string, more: Partial<WatchOptions> = {}): RoutesWatch {
  const watch = watchRoutes(file, {
    hash: hashBytes(text),
    onChange: loaded => changes.push(weightOf(loaded)),
    onInvalid: error => problems.push(error.message),
    timers: clock,
    watchFolder: (_, onEvent, onError) => {
      watches++
      fire = onEvent
      fail = onError
      return { close: () => {} }
    },
    ...more,
  })
  open.push(watch)
  return watch
}

describe('a change', () => {
  test('is not reported when there is none, whatever events come', () => {
    writeFileSync(file, routes(90))
    start(routes(90))
    for (let i = 0; i < 20; i++) {
      fire()
      clock.pass(50)
    }
    writeFileSync(file, routes(90))
    clock.pass(10_000)
    expect([changes, problems]).toEqual([[], []])
  })

  test('written in place is reported once, after it has settled', () => {
    writeFileSync(file, routes(90))
    start(routes(90))
    writeFileSync(file, routes(80))
    fire()
    clock.pass(149)
    expect(changes).toEqual([])
    clock.pass(300)
    expect(changes).toEqual([80])
    clock.pass(10_000)
    expect(changes).toEqual([80])
  })

  test('renamed over the file is reported, the second and third time too', () => {
    writeFileSync(file, routes(90))
    start(routes(90))
    for (const weight of [80, 70, 60]) {
      writeFileSync(`${file}.tmp`, routes(weight))
      renameSync(`${file}.tmp`, file)
      fire()
      clock.pass(1000)
    }
    expect(changes).toEqual([80, 70, 60])
  })

  test('without any event is found by the poll', () => {
    writeFileSync(file, routes(90))
    start(routes(90), {
      watchFolder: () => {
        throw new Error('no watches left')
      },
    })
    writeFileSync(file, routes(80))
    clock.pass(2151)
    expect(changes).toEqual([80])
  })

  test('between the first reading and the watch is found', () => {
    writeFileSync(file, routes(80))
    start(routes(90))
    clock.pass(150)
    expect(changes).toEqual([80])
  })

  test('that we wrote ourselves is no news', () => {
    writeFileSync(file, routes(90))
    const watch = start(routes(90))
    writeFileSync(file, routes(80))
    watch.known(hashBytes(routes(80)))
    fire()
    clock.pass(10_000)
    expect(changes).toEqual([])
    writeFileSync(file, routes(90))
    clock.pass(10_000)
    expect(changes).toEqual([90])
  })

  test('is reported while events never stop', () => {
    writeFileSync(file, routes(90))
    start(routes(90))
    writeFileSync(file, routes(80))
    for (let i = 0; i < 100; i++) {
      fire()
      clock.pass(10)
    }
    expect(changes).toEqual([80])
  })
})

describe('a half-written file', () => {
  test('is never reported, even when the half that is there would parse', () => {
    const other = routes(80).replace('routes: {', 'routes: {\n ')
    writeFileSync(file, routes(90))
    start(routes(90))
    writeFileSync(file, '')
    fire()
    clock.pass(149)
    writeFileSync(file, routes(70))
    clock.pass(100)
    writeFileSync(file, other)
    clock.pass(1000)
    expect([changes, problems]).toEqual([[80], []])
  })

  test('that stays is reported as invalid once, and the finished one as a change', () => {
    writeFileSync(file, routes(90))
    start(routes(90))
    writeFileSync(file, 'routes: { m: ')
    clock.pass(20_000)
    expect(problems).toHaveLength(1)
    expect(problems[0]).toMatch(/^routes.yaml:\d+:\d+ /)
    writeFileSync(file, routes(80))
    clock.pass(5000)
    expect(changes).toEqual([80])
  })

  test('that goes back to the content in use is reported again, so that the error can be taken back', () => {
    writeFileSync(file, routes(90))
    start(routes(90))
    writeFileSync(file, 'a')
    clock.pass(5000)
    writeFileSync(file, routes(90))
    clock.pass(5000)
    expect([problems.length, changes]).toEqual([1, [90]])
  })
})

test('a missing file is a problem once; when it comes back it is read', () => {
  writeFileSync(file, routes(90))
  start(routes(90))
  rmSync(file)
  clock.pass(10_000)
  expect(problems).toEqual(['routes.yaml:1:1 expected a readable file (ENOENT)'])
  writeFileSync(file, routes(80))
  clock.pass(10_000)
  expect(changes).toEqual([80])
})

test('a broken folder watch is set up again by the poll', () => {
  writeFileSync(file, routes(90))
  start(routes(90))
  fail()
  clock.pass(2000)
  expect(watches).toBe(2)
})

test('close leaves no timer, and nothing is reported after it', () => {
  writeFileSync(file, routes(90))
  const watch = start(routes(90))
  writeFileSync(file, routes(80))
  fire()
  watch.close()
  expect(clock.size).toBe(0)
  fire()
  clock.pass(10_000)
  expect(changes).toEqual([])
})

// The real fs.watch, with the poll out of reach.
describe('the folder watch', () => {
  const swap = (name: string, weight: number) => {
    mkdirSync(join(folder, name))
    writeFileSync(join(folder, name, 'routes.yaml'), routes(weight))
    symlinkSync(name, join(folder, '..data_tmp'))
    renameSync(join(folder, '..data_tmp'), join(folder, '..data'))
  }

  function next(): { change: () => Promise<number>; options: Partial<WatchOptions> } {
    const queue: number[] = []
    let wake: (() => void) | undefined
    return {
      change: async () => {
        while (queue.length === 0) await new Promise<void>(done => (wake = done))
        return queue.shift()!
      },
      options: {
        onChange: loaded => {
          queue.push(weightOf(loaded))
          wake?.()
        },
      },
    }
  }

  function real(text: string, options: Partial<WatchOptions>): void {
    const timers = {
      set: (run: () => void, ms: number) => setTimeout(run, ms),
      clear: (timer: unknown) => clearTimeout(timer as NodeJS.Timeout),
    }
    open.push(
      watchRoutes(file, {
        hash: hashBytes(text),
        onChange: () => {},
        onInvalid: () => {},
        timers,
        settleMs: 20,
        pollMs: 3_600_000,
        ...options,
      }),
    )
  }

  test('sees Kubernetes swap the ..data symlink, twice and three times', async () => {
    swap('..2026_1', 90)
    symlinkSync(join('..data', 'routes.yaml'), file)
    const { change, options } = next()
    real(routes(90), options)
    for (const [name, weight] of [
      ['..2026_2', 80],
      ['..2026_3', 70],
      ['..2026_4', 60],
    ] as const) {
      swap(name, weight)
      expect(await change()).toBe(weight)
    }
  })

  test('sees a rename over the file and a write in place', async () => {
    writeFileSync(file, routes(90))
    const { change, options } = next()
    real(routes(90), options)
    writeFileSync(`${file}.new`, routes(80))
    renameSync(`${file}.new`, file)
    expect(await change()).toBe(80)
    writeFileSync(file, routes(70))
    expect(await change()).toBe(70)
  })
})
