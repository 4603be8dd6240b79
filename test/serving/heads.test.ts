import { EventEmitter } from 'node:events'
import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Connections, type UnderWay } from '../../src/serving/connections.ts'
import { answerHeaders, cleanRequestId, cookieValue, requestHeaders } from '../../src/serving/headers.ts'
import { hasDotSegments, refusalOf } from '../../src/serving/limits.ts'
import { parseModelPath } from '../../src/serving/path.ts'

describe('the path of a prediction', () => {
  it.each([
    ['/v2/models/m/infer', { model: 'm', version: undefined, verb: 'infer' }],
    ['/v2/models/m/infer?a=/versions/x', { model: 'm', version: undefined, verb: 'infer' }],
    ['/v2/models/m/versions/1.0.0-rc.1+cpu/infer', { model: 'm', version: '1.0.0-rc.1+cpu', verb: 'infer' }],
    ['/v2/models/a%2Fb/infer', { model: 'a/b', version: undefined, verb: 'infer' }],
    ['/v2/models/versions/infer', { model: 'versions', version: undefined, verb: 'infer' }],
    ['/v2/models/m', { model: 'm', version: undefined, verb: '' }],
  ])('%s is read', (path, expected) => {
    expect(parseModelPath(path)).toEqual(expected)
  })

  it.each([
    '',
    '/',
    '/v2/models',
    '/v2/models/',
    '/v2/models//infer',
    '/v2/models/%/infer',
    '/v2/models/%ff/infer',
    '/v2/models/m/versions//infer',
    '/v2/models/m/infer/more',
    '/v2/models/m/versions/1/infer/more',
    '/V2/models/m/infer',
    '//v2/models/m/infer',
  ])('%j is none', path => {
    expect(parseModelPath(path)).toBeUndefined()
  })

  it('of any text never throws (property)', () => {
    fc.assert(
      fc.property(fc.string(), text => {
        parseModelPath(`/v2/models/${text}`)
        hasDotSegments(text)
      }),
      { seed: 31, numRuns: 500 },
    )
  })
})

describe('a head', () => {
  const head = (url: string, rawHeaders: string[], headers: object = {}) =>
    refusalOf({ url, rawHeaders, headers } as unknown as IncomingMessage)

  it('that is ordinary is not refused', () => {
    expect(head('/v2', ['Host', 'a', 'X-Host', 'b'], { 'transfer-encoding': 'chunked' })).toBeUndefined()
    expect(head('/v2', ['Host', 'a'], { 'transfer-encoding': ' Chunked ' })).toBeUndefined()
  })

  it('with two hosts, a foreign target or another transfer coding is refused', () => {
    expect(head('/v2', ['Host', 'a', 'hOST', 'a'])!.status).toBe(400)
    expect(head('http://other/v2', ['Host', 'a'])!.status).toBe(400)
    expect(head('*', ['Host', 'a'])!.status).toBe(400)
    expect(head('/v2', ['Host', 'a'], { 'transfer-encoding': 'gzip, chunked' })!.status).toBe(501)
  })

  it.each(['/a/../b', '/..', '/a/%2e%2E/b', '/./a', '/a/.?x', '\\..\\a'])(
    '%s has segments that a parser resolves',
    path => {
      expect(hasDotSegments(path)).toBe(true)
    },
  )

  it.each(['/a/b', '/a..b', '/.../a', '/a/.hidden', '/a/1.0.0', '/a?x=..'])('%s has none', path => {
    expect(hasDotSegments(path)).toBe(false)
  })
})

describe('header fields', () => {
  it('go upstream without hop-by-hop fields, forged ones, ours, and those that Connection names', () => {
    const raw = [
      'Accept',
      'a',
      'Connection',
      'X-Mine',
      'X-Mine',
      '1',
      'TE',
      'x',
      'X-Forwarded-For',
      'y',
      'X-Understudy-Role',
      'z',
      'Cookie',
      'c',
    ]
    expect(requestHeaders(raw, 'X-Mine')).toEqual(['accept', 'a', 'cookie', 'c'])
  })

  it('go upstream the same whatever requests came before with other names or another order (property)', () => {
    const names = ['Accept', 'accept', 'ACCEPT', 'Host', 'X-Api-Key', 'x-api-key', 'Te', 'Connection', 'User-Agent']
    const field = fc.tuple(fc.constantFrom(...names, 'x'.repeat(70), 'X'.repeat(70)), fc.string({ maxLength: 3 }))
    const dropped = new Set(['host', 'te', 'connection'])
    fc.assert(
      fc.property(fc.array(fc.array(field, { maxLength: 6 }), { maxLength: 8 }), requests => {
        for (const fields of requests) {
          const kept = fields.map(([name, value]) => [name.toLowerCase(), value] as const)
          const expected = kept.filter(([name]) => !dropped.has(name)).flat()
          expect(requestHeaders(fields.flat(), undefined)).toEqual(expected)
        }
      }),
      { seed: 32 },
    )
  })

  it('come back without hop-by-hop fields, lengths, ours, and those that Connection names', () => {
    const kept = answerHeaders({
      'content-type': 'text/plain',
      'content-length': '5',
      connection: 'x-private, close',
      'x-private': '1',
      'x-understudy-version': '9.9.9',
      'set-cookie': ['a', 'b'],
      'transfer-encoding': 'chunked',
    })
    expect(kept).toEqual(['content-type', 'text/plain', 'set-cookie', 'a', 'set-cookie', 'b'])
  })

  it('never pass a request id with anything but safe characters (property)', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), id => {
        const clean = cleanRequestId(id)
        if (clean !== undefined) expect(clean).toMatch(/^[\x21-\x7e]{1,128}$/)
      }),
      { seed: 37, numRuns: 500 },
    )
    expect(cleanRequestId(['a', 'b'])).toBeUndefined()
    expect(cleanRequestId('')).toBeUndefined()
    expect(cleanRequestId('x'.repeat(129))).toBeUndefined()
  })

  it('hold a cookie by its exact name', () => {
    expect(cookieValue('a=1; session=x=y; b', 'session')).toBe('x=y')
    expect(cookieValue('xsession=1; session2=2', 'session')).toBeUndefined()
    expect(cookieValue(undefined, 'session')).toBeUndefined()
    expect(cookieValue('=1; ;;', 'session')).toBeUndefined()
  })
})

describe('connections', () => {
  class FakeSocket extends EventEmitter {
    writableLength = 0
    destroyed = false
    _handle = { writeQueueSize: 0 }
    destroy() {
      this.destroyed = true
      this.emit('close')
    }
  }
  const open = (connections: Connections) => {
    const socket = new FakeSocket()
    connections.opened(socket as unknown as Socket)
    return { fake: socket, socket: socket as unknown as Socket }
  }

  it('hold a bounded number of requests each, and one has no part in another’s', () => {
    const connections = new Connections()
    const { socket } = open(connections)
    const other = open(connections).socket
    const begin = () => {
      const { underWay, isFull } = connections.of(socket)
      const request: UnderWay = { line: undefined, before: undefined, after: undefined, clientGone: () => {} }
      if (!isFull) underWay.join(request)
      return isFull ? undefined : request
    }
    const begun: UnderWay[] = []
    for (let next = begin(); next !== undefined; next = begin()) begun.push(next)
    expect(begun.length).toBeGreaterThanOrEqual(100)
    expect(begun.length).toBeLessThan(1_000)
    expect(connections.of(other).isFull).toBe(false)
    connections.of(socket).underWay.leave(begun[50]!)
    expect(begin()).toBeDefined()
    expect(begin()).toBeUndefined()
  })

  it('tell the requests that are not answered yet, and those alone, that their client went away', async () => {
    const connections = new Connections()
    const { fake, socket } = open(connections)
    const told: number[] = []
    const { underWay } = connections.of(socket)
    const requests = [0, 1, 2].map(index => {
      const clientGone = () => {
        told.push(index)
        // As requests do that are over with it.
        underWay.leave(requests[index]!)
      }
      const request: UnderWay = { line: undefined, before: undefined, after: undefined, clientGone }
      underWay.join(request)
      return request
    })
    underWay.leave(requests[1]!)
    fake.destroy()
    await undefined
    expect(told).toEqual([0, 2])
  })

  it('whose answers nobody takes are closed, and not those that make progress, however slow', () => {
    const connections = new Connections()
    const stalled = open(connections).fake
    const slow = open(connections).fake
    const oneLargeWrite = open(connections).fake
    const idle = open(connections).fake
    stalled.writableLength = 1_000
    slow.writableLength = 1_000_000
    oneLargeWrite.writableLength = 1_000_000
    oneLargeWrite._handle.writeQueueSize = 1_000_000
    for (let nowMs = 0; nowMs < 60_000; nowMs += 250) {
      slow.writableLength -= 10
      oneLargeWrite._handle.writeQueueSize -= 10
      connections.closeOverdue(nowMs)
    }
    expect({
      stalled: stalled.destroyed,
      slow: slow.destroyed,
      large: oneLargeWrite.destroyed,
      idle: idle.destroyed,
    }).toEqual({
      stalled: true,
      slow: false,
      large: false,
      idle: false,
    })
  })
})
