import { once } from 'node:events'
import { connect } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { type AdminListener, startAdmin } from '../../src/admin/server.ts'
import { fakeControl } from './fakeControl.ts'

const listeners: AdminListener[] = []
const start = async (host = '127.0.0.1', token?: string) => {
  const listener = await startAdmin({ host, port: 0, token, control: fakeControl().control })
  listeners.push(listener)
  return listener
}
afterEach(async () => {
  await Promise.all(listeners.splice(0).map(listener => listener.close()))
})

describe('the admin listener', () => {
  it.each(['0.0.0.0', '::', '192.0.2.1'])('refuses to listen on %s without a token', async host => {
    await expect(start(host)).rejects.toMatchObject({ code: 'BAD_CONFIGURATION' })
  })

  it('says so when its address is taken', async () => {
    const { port } = await start()
    await expect(
      startAdmin({ host: '127.0.0.1', port, token: undefined, control: fakeControl().control }),
    ).rejects.toThrow(/EADDRINUSE/)
  })

  it('answers over a real socket with the headers of every answer', async () => {
    const { port } = await start()
    const answer = await fetch(`http://127.0.0.1:${port}/v1/status`)
    expect([answer.status, answer.headers.get('x-frame-options')]).toEqual([200, 'DENY'])
  })

  it('refuses a rebound Host over a real socket', async () => {
    const { port } = await start()
    const socket = connect(port, '127.0.0.1')
    socket.end('GET /v1/status HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n')
    const [chunk] = (await once(socket, 'data')) as [Buffer]
    expect(chunk.toString()).toMatch(/^HTTP\/1\.1 403 /)
    socket.destroy()
  })

  it('with a token listens anywhere and answers who has it', async () => {
    const { port } = await start('0.0.0.0', 'a-token-of-enough-letters')
    expect((await fetch(`http://127.0.0.1:${port}/v1/status`)).status).toBe(401)
    const headers = { authorization: 'Bearer a-token-of-enough-letters' }
    expect((await fetch(`http://127.0.0.1:${port}/v1/status`, { headers })).status).toBe(200)
  })

  it('closes though a client holds its connection', async () => {
    const { port, close } = await start()
    const socket = connect(port, '127.0.0.1')
    await once(socket, 'connect')
    const began = performance.now()
    await close()
    expect(performance.now() - began).toBeLessThan(5_000)
    socket.destroy()
    listeners.length = 0
  })
})
