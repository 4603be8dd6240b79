// A real server of node, and time that is only told to what closes connections.
import { once } from 'node:events'
import { createServer, type Server, type ServerResponse } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Connections } from '../../src/serving/connections.ts'

/** node adds its buffer of a second. */
const LIMIT_MS = 65_000 + 1_000
const ASK = 'POST /x HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\n{}'

let server: Server
let connections: Connections
let held: ServerResponse[]
let accepted: Socket[]
let clients: Socket[]
let isHolding: boolean

beforeEach(async () => {
  connections = new Connections()
  held = []
  accepted = []
  clients = []
  isHolding = false
  server = createServer({ keepAliveTimeout: 65_000 }, (request, response) => {
    request.resume()
    if (isHolding) held.push(response)
    else response.end('answer')
  })
  server.on('connection', (socket: Socket) => {
    accepted.push(socket)
    connections.opened(socket)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
})
afterEach(() => {
  for (const client of clients) client.destroy()
  server.closeAllConnections()
  server.close()
})

async function open() {
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1')
  clients.push(client)
  await Promise.all([once(client, 'connect'), once(server, 'connection')])
  let text = ''
  client.setEncoding('utf8')
  client.on('data', (piece: string) => (text += piece))
  client.on('error', () => {})
  const socket = accepted.at(-1)!
  return {
    client,
    isOpen: () => !socket.destroyed,
    bytesRead: () => socket.bytesRead,
    answers: async (count: number) => {
      while (text.split('answer').length <= count) await once(client, 'data')
      return text
    },
  }
}

describe('a connection', () => {
  it('begins to wait anew with each answer, and its clients are told how long it does', async () => {
    const { client, isOpen, answers } = await open()
    for (let asked = 1, nowMs = 1_000; asked <= 4; asked++, nowMs += LIMIT_MS) {
      client.write(ASK)
      expect(await answers(asked)).toMatch(/^keep-alive: timeout=65\r$/im)
      connections.closeOverdue(nowMs)
      expect(isOpen()).toBe(true)
    }
  })

  it.each([1, 2])('that has waited as long as it may after answer %i is closed, and not before', async last => {
    const { client, isOpen, answers } = await open()
    for (let asked = 1; asked <= last; asked++) {
      client.write(ASK)
      await answers(asked)
      connections.closeOverdue(asked * 1_000)
    }
    connections.closeOverdue(last * 1_000 + LIMIT_MS)
    expect(isOpen()).toBe(true)
    connections.closeOverdue(last * 1_000 + LIMIT_MS + 1)
    expect(isOpen()).toBe(false)
  })

  it('whose request is under way is left alone, however long that takes', async () => {
    const { client, isOpen, answers } = await open()
    client.write(ASK)
    await answers(1)
    connections.closeOverdue(1_000)
    isHolding = true
    client.write(ASK)
    while (held.length === 0) await once(server, 'request')
    for (let nowMs = 2_000; nowMs < 10 * LIMIT_MS; nowMs += 30_000) connections.closeOverdue(nowMs)
    expect(isOpen()).toBe(true)
    held[0]!.end('answer')
    await answers(2)
    expect(isOpen()).toBe(true)
  })

  it('on which a request has begun to come is left to the limits for that', async () => {
    const { client, isOpen, bytesRead, answers } = await open()
    client.write(ASK)
    await answers(1)
    connections.closeOverdue(1_000)
    client.write('POST /x HTTP/1.1\r\nhost:')
    while (bytesRead() <= ASK.length) await pause(1)
    connections.closeOverdue(1_001 + LIMIT_MS)
    expect(isOpen()).toBe(true)
  })

  it('that has not asked anything yet is left to node, which has a limit for that', async () => {
    const { isOpen } = await open()
    connections.closeOverdue(1_000)
    connections.closeOverdue(1_000_000)
    expect(isOpen()).toBe(true)
  })

  // undici and node ask a socket for some forty properties a request.
  it('keeps the shape of an object', async () => {
    const { client, answers } = await open()
    client.write(ASK)
    await answers(1)
    setFlagsFromString('--allow-natives-syntax')
    const hasShape = new Function('object', 'return %HasFastProperties(object)')
    setFlagsFromString('--no-allow-natives-syntax')
    expect(hasShape(accepted[0])).toBe(true)
  })

  it('has no timer of its own', async () => {
    const timers = () => process.getActiveResourcesInfo().filter(name => name === 'Timeout').length
    const before = timers()
    const { client, answers } = await open()
    client.write(ASK)
    await answers(1)
    expect(accepted[0]!.timeout).toBeFalsy()
    expect(timers()).toBe(before)
  })
})
