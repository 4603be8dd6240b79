import { createServer, type Server } from 'node:http'
import { type AddressInfo, createServer as createTcpServer } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type AdminListener, startAdmin } from '../../src/admin/server.ts'
import { UnderstudyError } from '../../src/errors.ts'
import type { Verdict } from '../../src/gate/evidence.ts'
import { type Asked, fakeControl, status } from '../admin/fakeControl.ts'
import { verdict } from '../report/sample.ts'
import { runCli } from './runCli.ts'
import { runHere } from './runHere.ts'

const TOKEN = 'a-token-of-enough-letters'
let decision: Verdict['decision'] = 'continue'
let patchOnly = false
let asked: Asked[]
let listener: AdminListener
let guarded: AdminListener

const at = (...args: string[]) => runCli([...args, '--admin', `http://127.0.0.1:${listener.port}`])
const here = (...args: string[]) => runHere([...args, '--admin', `http://127.0.0.1:${listener.port}`])

beforeAll(async () => {
  const fake = fakeControl({
    gate: route => {
      if (route !== 'flight-delay') throw new UnderstudyError('UNKNOWN_MODEL', `unknown route "${route}"`)
      return { ...verdict, decision }
    },
    rollback: async () => {
      throw new UnderstudyError('CONFLICT', 'routes.yaml changed meanwhile')
    },
  })
  asked = fake.asked
  const { promote } = fake.control
  fake.control.promote = async (route, candidate, request) => {
    const result = await promote(route, candidate, request)
    return patchOnly ? { ...result, applied: false } : result
  }
  listener = await startAdmin({ host: '127.0.0.1', port: 0, token: undefined, control: fake.control })
  guarded = await startAdmin({ host: '127.0.0.1', port: 0, token: TOKEN, control: fake.control })
})
afterAll(() => Promise.all([listener.close(), guarded.close()]))

async function listening(server: Server | ReturnType<typeof createTcpServer>): Promise<string> {
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

describe('a gateway that cannot be asked', () => {
  it('is unreachable, code 5', async () => {
    const { code, err } = await runCli(['status', '--admin', 'http://127.0.0.1:1'])
    expect(code).toBe(5)
    expect(err).toContain('no gateway answers')
  })

  it('is unreachable when something else answers in its place', async () => {
    const server = createServer((_request, response) => response.end('<html>'))
    const { code, err } = await runHere(['status', '--admin', await listening(server)])
    server.close()
    expect(code).toBe(5)
    expect(err).toContain('is not an Understudy gateway')
  })

  it('that accepts and never answers is a timeout, code 124', async () => {
    const server = createTcpServer(socket => socket.on('error', () => {}))
    const { code, err } = await runCli(['status', '--admin', await listening(server), '--timeout', '300ms'])
    server.close()
    expect(code).toBe(124)
    expect(err).toContain('did not answer within 0.3 s')
  })

  it('wants a token: code 2 without it, 0 with it', async () => {
    const admin = ['status', '--admin', `http://127.0.0.1:${guarded.port}`]
    const without = await runHere(admin)
    expect(without.code).toBe(2)
    expect(without.err).toContain('UNDERSTUDY_TOKEN')
    expect((await runHere(admin, { env: { UNDERSTUDY_TOKEN: TOKEN } })).code).toBe(0)
  })
})

describe('status', () => {
  it('prints tables for a person, without colours where there is no terminal', async () => {
    const { code, out } = await at('status')
    expect(code).toBe(0)
    expect(out).toContain('flight-delay  live 1.0.0')
    expect(out).not.toContain('\u001b')
  })

  it('colours what a person must see where there is a terminal', async () => {
    const { out } = await runHere(['status', '--admin', `http://127.0.0.1:${listener.port}`], { colour: true })
    expect(out).toContain('\u001b[')
  })

  it('prints the gateway’s JSON, and finds the gateway by the environment', async () => {
    const { out } = await runCli(['status', '--json'], {
      env: { UNDERSTUDY_ADMIN: `http://127.0.0.1:${listener.port}` },
    })
    expect(JSON.parse(out)).toEqual(JSON.parse(JSON.stringify(status)))
  })

  it('--watch prints once while nothing changes and ends with code 124 when its time is over', async () => {
    const { code, out } = await at('status', '--watch', '--timeout', '2500ms')
    expect(code).toBe(124)
    expect(out.match(/^ready/gm)).toHaveLength(1)
  })

  it('--watch --timeout waits for a gateway that is not there yet', async () => {
    const { code, err } = await runCli(['status', '--watch', '--timeout', '1500ms', '--admin', 'http://127.0.0.1:1'])
    expect(code).toBe(124)
    expect(err.match(/no gateway answers/g)).toHaveLength(1)
  })
})

describe('gate', () => {
  it.each([
    ['promote', 0],
    ['abort', 3],
    ['continue', 6],
    ['hold', 6],
    ['invalid', 6],
  ] as const)('%s ends with code %i', async (given, expected) => {
    decision = given
    const { code, out } = await at('gate', 'flight-delay', '1.1.0')
    expect([code, out.startsWith(`${given}: `)]).toEqual([expected, true])
  })

  it('of a route that does not exist is wrong usage', async () => {
    const { code, err } = await here('gate', 'nope')
    expect([code, err]).toEqual([2, 'unknown route "nope"\n'])
  })

  it('prints versioned JSON', async () => {
    const { out } = await here('gate', 'flight-delay', '--json')
    expect(JSON.parse(out)).toMatchObject({ verdictVersion: 1, candidate: '1.1.0' })
  })
})

describe('report', () => {
  it.each([
    ['text', /^abort: 1\.1\.0 is worse than 1\.0\.0: mean brier loss/],
    ['markdown', /^# flight-delay: 1\.1\.0 against 1\.0\.0/],
    ['json', /^\{\n {2}"reportVersion": 1/],
  ])('as %s goes to stdout', async (format, start) => {
    const { code, out } = await here('report', 'flight-delay', '--format', format)
    expect(code).toBe(0)
    expect(out).toMatch(start)
  })
})

describe('changes', () => {
  it('print a sentence, the shares and the diff', async () => {
    patchOnly = false
    const { code, out } = await here('promote', 'flight-delay', '1.1.0', '--reason', 'better')
    expect(code).toBe(0)
    expect(out).toContain('promote of flight-delay\n')
    expect(out).toMatch(/1\.1\.0 +5 % +→ +25 %/)
    expect(out).toContain('+weight: 25')
    const request = asked.at(-1)!.arguments.at(-1) as { who: string; reason: string; idempotencyKey: string }
    expect(request.reason).toBe('better')
    expect(request.who).toContain('@')
    expect(request.idempotencyKey).toMatch(/^[0-9a-f-]{36}$/)
  })

  it('only rehearse with --dry-run', async () => {
    const { code, out } = await here('promote', 'flight-delay', '--dry-run')
    expect(code).toBe(0)
    expect(out).toMatch(/^dry run, nothing is changed: /)
    expect(asked.at(-1)!.arguments.at(-1)).toMatchObject({ dryRun: true })
  })

  it('that the gateway could only print as a patch end with code 4', async () => {
    patchOnly = true
    const { code, out } = await here('promote', 'flight-delay')
    expect(code).toBe(4)
    expect(out).toMatch(/^not applied: /)
    expect(out).toContain('+weight: 25')
  })

  it('that meet a conflict end with code 4', async () => {
    const { code, err } = await here('rollback', 'flight-delay')
    expect([code, err]).toEqual([4, 'routes.yaml changed meanwhile\n'])
  })

  it('each ask for what they are named after', async () => {
    const before = asked.length
    await here('abort', 'flight-delay', '1.1.0', '--reason', 'x')
    await here('clear', 'flight-delay', '1.1.0', '--reason', 'x')
    await here('set-weight', 'flight-delay', '1.1.0', '12.5', '--json')
    await here('mirror', 'off', 'flight-delay')
    const [abort, clear, weight, mirror] = asked.slice(before)
    expect([abort!.what, clear!.what, weight!.what]).toEqual(['abort', 'clear', 'set-weight'])
    expect(weight!.arguments[2]).toBe(12.5)
    expect(mirror!.arguments.slice(0, 2)).toEqual([false, 'flight-delay'])
  })

  it('are remembered by history', async () => {
    const { code, out } = await here('history', 'flight-delay', '--last', '5')
    expect(code).toBe(0)
    expect(out).toMatch(/promote \(applied\) +1\.0\.0 → 1\.1\.0 +ann +better/)
    expect(out, 'a share names its version').toMatch(/set-weight \(applied\) +2\.0\.0 {2}5 % → 1 % +ann +a look/)
    expect(asked.at(-1)!.arguments).toEqual(['flight-delay', 5])
  })
})
