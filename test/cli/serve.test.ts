import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ONE_PROCESSOR_FLAGS } from '../../src/cli/oneProcessor.ts'
import { runCli } from './runCli.ts'

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url))
const MODELS = fileURLToPath(new URL('../../models', import.meta.url))
const READY_MS = 30_000
let folder: string
/** Linux and its `taskset`. */
const canPin = process.platform === 'linux' && spawnSync('taskset', ['-c', '0', 'true']).status === 0
if (!canPin) console.warn('skipped: how a gateway starts on one processor (no taskset here)')

const routes = (extra = '', drain = '0s') => `listen: 127.0.0.1:0
admin: { listen: "127.0.0.1:0"${extra} }
models: ${JSON.stringify(MODELS)}
drain: { delay: ${drain}, deadline: 5s }
routes:
  digits:
    live: 1.0.0
    versions:
      1.0.0: { onnx: digits/1.0.0, weight: 100 }
`

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'understudy-serve-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

interface Served {
  readonly child: ChildProcess
  readonly ready: { predictions: string; admin: string; pid: number }
  readonly ended: Promise<[code: number | null, signal: string | null]>
  readonly err: Promise<string>
}

/**
 * Starts a gateway and waits for its ready line; whoever starts it ends it.
 * @param before what stands before node in the command
 */
async function serve(name: string, file: string, before: readonly string[] = []): Promise<Served> {
  await writeFile(join(folder, `${name}.yaml`), file)
  const [command, ...args] = [...before, process.execPath, MAIN, 'serve', '--routes', `${name}.yaml`]
  const child = spawn(command!, [...args, '--state', `${name}-state`, '--threads', '1', '--json'], {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const ended = once(child, 'exit') as Served['ended']
  const err = text(child.stderr!)
  const timer = setTimeout(() => child.kill('SIGKILL'), READY_MS)
  try {
    const [line] = (await Promise.race([
      once(child.stdout!, 'data'),
      ended.then(async () => {
        throw new Error(`serve ended before it was ready: ${await err}`)
      }),
    ])) as [Buffer]
    return { child, ready: JSON.parse(line.toString()) as Served['ready'], ended, err }
  } finally {
    clearTimeout(timer)
  }
}

describe('a gateway that cannot start', () => {
  it('because of a broken file ends with code 2 and every problem at its place', async () => {
    await writeFile(join(folder, 'broken.yaml'), routes().replace('weight: 100', 'weight: 120'))
    const { code, err } = await runCli(['serve', '--routes', 'broken.yaml'], { cwd: folder })
    expect(code).toBe(2)
    expect(err).toMatch(/^broken\.yaml:9:\d+ expected a percentage between 0 and 100, got 120$/m)
  })

  it('because its admin API would be open to everybody ends with code 2', async () => {
    await writeFile(join(folder, 'open.yaml'), routes())
    const args = ['serve', '--routes', 'open.yaml', '--state', 'open-state', '--admin', '0.0.0.0:0']
    const { code, err } = await runCli(args, { cwd: folder })
    expect(code).toBe(2)
    expect(err).toContain('needs an admin.token')
  }, 40_000)
})

describe('a gateway that runs', () => {
  it('says where it listens, answers, refuses a second one on its state, and drains on SIGTERM with code 0', async () => {
    const { child, ready, ended } = await serve('one', routes())
    try {
      expect((await fetch(`${ready.predictions}/livez`)).status).toBe(200)
      const status = await runCli(['status', '--admin', ready.admin])
      expect(status.code).toBe(0)
      expect(status.out).toContain('digits  live 1.0.0')
      const second = await runCli(['serve', '--routes', 'one.yaml', '--state', 'one-state'], { cwd: folder })
      expect(second.code).toBe(4)
    } finally {
      child.kill('SIGTERM')
    }
    expect(await ended).toEqual([0, null])
  }, 60_000)

  it.skipIf(!canPin)(
    'starts again where it has one processor, as the same process, and collects without helpers',
    async () => {
      const { child, ready, ended } = await serve('alone', routes(), ['taskset', '-c', '0'])
      try {
        expect(ready.pid).toBe(child.pid)
        const args = (await readFile(`/proc/${child.pid}/cmdline`, 'utf8')).split('\0')
        expect(args.filter(arg => ONE_PROCESSOR_FLAGS.includes(arg))).toEqual(ONE_PROCESSOR_FLAGS)
        const script = 1 + ONE_PROCESSOR_FLAGS.length
        expect(args.slice(script, script + 2)).toEqual([MAIN, 'serve'])
        expect((await fetch(`${ready.predictions}/livez`)).status).toBe(200)
      } finally {
        child.kill('SIGTERM')
      }
      expect(await ended).toEqual([0, null])
    },
    60_000,
  )

  it('ends at once at a second signal, by a signal of its own and not by process.exit', async () => {
    const { child, ended, err } = await serve('two', routes('', '30s'))
    child.kill('SIGTERM')
    const poll = setInterval(() => child.kill('SIGTERM'), 300)
    const began = performance.now()
    expect(await ended).toEqual([null, 'SIGKILL'])
    clearInterval(poll)
    expect(performance.now() - began).toBeLessThan(10_000)
    expect(await err).toContain('a second signal ends at once')
  }, 60_000)
})
