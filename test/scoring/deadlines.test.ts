import { execFile } from 'node:child_process'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { promisify } from 'node:util'
import { afterEach, expect, it, vi } from 'vitest'
import { Upstream } from '../../src/scoring/upstream.ts'

const closing: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of closing.splice(0)) await close()
})

async function serverOf(listener: RequestListener): Promise<string> {
  const server = createServer(listener)
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  closing.push(() => {
    server.closeAllConnections()
    return new Promise(resolve => server.close(resolve))
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

function upstreamOf(url: string, connections = 8): Upstream {
  const options = { connectMs: 1_000, firstByteMs: 60_000, maxAnswerBytes: 1_000, connections }
  const upstream = new Upstream({ urls: [url], ...options })
  closing.unshift(() => upstream.destroy())
  return upstream
}

const call = (deadlineMs: number) => ({ method: 'GET', path: '/', headers: [], body: undefined, deadlineMs }) as const

async function timed(upstream: Upstream, deadlineMs: number) {
  const since = performance.now()
  const answer = await upstream.send(call(deadlineMs))
  return { code: answer.ok ? 'ok' : answer.code, afterMs: performance.now() - since }
}

it('ends each call at its own deadline, whichever of them came first', async () => {
  const upstream = upstreamOf(await serverOf(() => {}))
  const ended: number[] = []
  const deadlines = [900, 300, 600, 301]
  const answers = await Promise.all(
    deadlines.map(async deadlineMs => {
      const answer = await timed(upstream, deadlineMs)
      ended.push(deadlineMs)
      return answer
    }),
  )
  expect(answers.map(({ code }) => code)).toEqual(deadlines.map(() => 'VERSION_DEADLINE'))
  expect(ended).toEqual([300, 301, 600, 900])
  for (const [index, deadlineMs] of deadlines.entries())
    expect(answers[index]!.afterMs, 'never early').toBeGreaterThanOrEqual(deadlineMs - 1)
})

it('ends a call that waits for a place at its deadline, and none that was answered', async () => {
  let asked = 0
  const url = await serverOf((_request, response) => {
    if (asked++ === 0) response.end('yes')
  })
  const upstream = upstreamOf(url, 1)
  expect(await timed(upstream, 5_000)).toMatchObject({ code: 'ok' })
  const [holds, waits] = await Promise.all([timed(upstream, 1_200), timed(upstream, 400)])
  expect(waits.code).toBe('VERSION_DEADLINE')
  expect(holds.code).toBe('VERSION_DEADLINE')
  expect(waits.afterMs).toBeLessThan(holds.afterMs)
  expect(asked, 'what waited was never sent').toBe(2)
})

it('notices a deadline that comes after many calls that were answered', async () => {
  let hangs = false
  const upstream = upstreamOf(await serverOf((_request, response) => void (hangs || response.end('yes'))))
  for (let index = 0; index < 20; index++) expect(await timed(upstream, 500)).toMatchObject({ code: 'ok' })
  hangs = true
  const { code, afterMs } = await timed(upstream, 500)
  expect(code).toBe('VERSION_DEADLINE')
  expect(afterMs).toBeGreaterThanOrEqual(499)
})

it('ends a call whose deadline has passed already, and gives node no time that it would warn of', async () => {
  const timers = vi.spyOn(globalThis, 'setTimeout')
  closing.push(async () => timers.mockRestore())
  const upstream = upstreamOf(await serverOf(() => {}))
  expect(await timed(upstream, -3)).toMatchObject({ code: 'VERSION_DEADLINE' })
  expect(timers).toHaveBeenCalled()
  for (const [, ms] of timers.mock.calls) expect(ms).toBeGreaterThanOrEqual(1)
})

it('keeps no process alive for a deadline that no call waits for any more', { timeout: 30_000 }, async () => {
  const url = await serverOf((_request, response) => void response.end('yes'))
  const module = new URL('../../src/scoring/upstream.ts', import.meta.url).href
  const options = `{ urls: ['${url}'], connectMs: 1000, firstByteMs: 1000, maxAnswerBytes: 1000, connections: 1 }`
  const script = `const { Upstream } = await import('${module}')
    const { ok } = await new Upstream(${options}).send(${JSON.stringify(call(3_600_000)).replace('}', ', body: undefined }')})
    process.stdout.write(String(ok))`
  const run = promisify(execFile)(process.execPath, ['--input-type=module', '-e', script], { timeout: 20_000 })
  expect((await run).stdout).toBe('true')
})
