// Bodies that are too long to be kept whole: passed on while they come, in bounded memory, compared up to the route's limit.
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer, request as httpRequest, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { beforeAll, describe, expect, it } from 'vitest'
import type { Report } from '../../src/report/status.ts'
import { atEnd, getJson, routesOf, send, startGateway, type TestGateway, until } from './gateway.ts'
import { deafServer } from './upstream.ts'

const MIB = 1024 * 1024
const sha = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')

interface Streamer {
  readonly url: string
  /** Digest and length of each body that was received whole. */
  readonly bodies: { readonly sha: string; readonly bytes: number }[]
  /** Bytes of the body that comes now. */
  coming: number
  /** Calls that ended before they were answered. */
  aborted: number
}

/** Answers `?answer=N` with N bytes, `?stall` after a part of them never, `?break` with a reset in the middle, else an echo. */
async function streamer(): Promise<Streamer> {
  const told: Streamer = { url: '', bodies: [], coming: 0, aborted: 0 }
  const server = createServer((request, response) => {
    const asked = new URL(request.url!, 'http://x').searchParams
    const hash = createHash('sha256')
    const parts: Buffer[] = []
    let bytes = 0
    response.on('close', () => {
      if (!response.writableFinished) told.aborted++
    })
    request.on('error', () => {})
    request.on('data', (chunk: Buffer) => {
      hash.update(chunk)
      bytes += chunk.length
      told.coming = bytes
      if (!asked.has('answer')) parts.push(chunk)
    })
    if (asked.has('early')) {
      request.once('data', () => response.end('{"value":"yes"}'))
      return
    }
    request.on('end', () => {
      told.bodies.push({ sha: hash.digest('hex'), bytes })
      response.setHeader('content-type', 'application/json')
      if (!asked.has('answer')) {
        response.end(Buffer.concat(parts))
        return
      }
      const size = Number(asked.get('answer'))
      response.setHeader('content-length', String(size))
      if (asked.has('stall') || asked.has('break')) {
        response.write(Buffer.alloc(size / 2, 0x20))
        if (asked.has('break')) setTimeout(() => request.socket.resetAndDestroy(), 100)
        return
      }
      response.end(Buffer.alloc(size, 0x20))
    })
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  atEnd(() => {
    server.closeAllConnections()
    server.close()
  })
  return Object.assign(told, { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` })
}

let gateway: TestGateway
let upstream: Streamer

beforeAll(async () => {
  upstream = await streamer()
  const versions = {
    '1.0.0': { url: upstream.url, protocol: 'json', weight: 100, deadline: '60s' },
    '1.1.0': { url: upstream.url, protocol: 'json', shadow: 100, mirrorable: true },
  }
  const compare = { output: '/value', kind: 'label' }
  gateway = await startGateway({
    routes: routesOf(
      {
        kept: { live: '1.0.0', versions, compare, path: '/kept', limits: { body: '16MiB', mirrored: '12MiB' } },
        stalling: {
          live: '1.0.0',
          versions: { '1.0.0': { ...versions['1.0.0'], deadline: '2s' } },
          path: '/stalling',
          limits: { body: '16MiB' },
        },
        passed: { live: '1.0.0', versions, compare, path: '/passed', limits: { body: '16MiB' } },
      },
      { mirror: { ring: '64MiB' } },
    ),
  })
})

const accountOf = async (route: string) =>
  ((await getJson(`${gateway.admin}/v1/routes/${route}/report?candidate=1.1.0`)) as Report).account

/** JSON of `bytes` bytes. */
const body = (bytes: number) => {
  const head = '{"value":"yes","rest":"'
  return Buffer.from(
    `${head}${randomBytes(bytes / 2)
      .toString('hex')
      .slice(0, bytes - head.length - 2)}"}`,
  )
}

function residentMiB(pid: number): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]) / 1024
}

describe('a request and an answer of ten megabytes', () => {
  it('pass byte by byte the same, with a length or without, and are compared up to the limit of the route', async () => {
    const sent = body(10 * MIB)
    const plain = await send(`${gateway.predictions}/kept`, { body: sent })
    expect([plain.status, sha(plain.bytes)]).toEqual([200, sha(sent)])
    const half = sent.length / 2
    const chunked = await send(`${gateway.predictions}/kept`, {
      chunks: [sent.subarray(0, 1000), sent.subarray(1000, half), sent.subarray(half)],
    })
    expect([chunked.status, sha(chunked.bytes)]).toEqual([200, sha(sent)])
    const account = await until(
      async () => {
        const told = await accountOf('kept')
        return told.compared === 2 ? told : undefined
      },
      { what: () => 'two comparisons' },
    )
    expect(account.eligible).toBe(2)
  })

  it('are accounted for as incomplete where the version answers before it has the request', async () => {
    const sent = body(6 * MIB)
    const request = httpRequest(`${gateway.predictions}/kept?early`, {
      method: 'POST',
      headers: { 'content-length': String(sent.length) },
    })
    request.on('error', () => {})
    request.write(sent.subarray(0, MIB))
    const [response] = (await once(request, 'response')) as [IncomingMessage]
    expect([response.statusCode, await text(response)]).toEqual([200, '{"value":"yes"}'])
    request.destroy()
    const account = await until(
      async () => {
        const told = await accountOf('kept')
        return told.dropped.incomplete === 1 ? told : undefined
      },
      { what: () => 'a drop' },
    )
    expect(account).toMatchObject({ eligible: 3, compared: 2, dropped: { too_large: 0 } })
  })

  it('are accounted for past it, as too large', async () => {
    const sent = body(3 * MIB)
    expect((await send(`${gateway.predictions}/passed`, { body: sent })).status).toBe(200)
    expect((await send(`${gateway.predictions}/passed?answer=${3 * MIB}`, { body: '{}' })).status).toBe(200)
    const small = body(2000)
    expect((await send(`${gateway.predictions}/passed`, { body: small })).status).toBe(200)
    const account = await until(
      async () => {
        const told = await accountOf('passed')
        return told.compared === 1 && told.dropped.too_large === 2 ? told : undefined
      },
      { what: () => 'one comparison and two drops' },
    )
    expect(account.eligible).toBe(3)
  })

  it('reach the version while the client still sends, and the client while the version still answers', async () => {
    const sent = body(4 * MIB)
    const request = httpRequest(`${gateway.predictions}/stalling?answer=${2 * MIB}&stall`, {
      method: 'POST',
      headers: { 'content-length': String(sent.length) },
    })
    const broken = new Promise<void>(resolve => request.once('close', () => resolve()))
    request.on('error', () => {})
    upstream.coming = 0
    request.write(sent.subarray(0, 2 * MIB))
    await until(() => upstream.coming >= MIB, { what: () => 'the first half to be there' })
    let received = 0
    request.on('response', response => {
      response.on('data', (chunk: Buffer) => (received += chunk.length))
      response.on('error', () => {})
    })
    request.end(sent.subarray(2 * MIB))
    await until(() => received === MIB, { what: () => 'half of the answer' })
    // The version never ends: at its deadline the answer breaks off, and is never a clean one.
    await broken
    expect(received).toBe(MIB)
  })

  it('take no memory that grows with them: fifty at once through a client that reads slowly', async () => {
    const before = residentMiB(gateway.pid)
    let most = 0
    const reads = Array.from(
      { length: 50 },
      () =>
        new Promise<number>((resolve, reject) => {
          const request = httpRequest(`${gateway.predictions}/passed?answer=${10 * MIB}`, {
            method: 'POST',
            agent: false,
          })
          request.on('error', reject)
          request.on('response', response => {
            let bytes = 0
            response.on('data', (chunk: Buffer) => {
              bytes += chunk.length
              response.pause()
              setTimeout(() => response.resume(), 1)
              most = Math.max(most, residentMiB(gateway.pid))
            })
            response.on('end', () => resolve(bytes))
            response.on('error', reject)
          })
          request.end('{}')
        }),
    )
    expect(new Set(await Promise.all(reads))).toEqual(new Set([10 * MIB]))
    expect(most - before, `${most} MiB after ${before} MiB`).toBeLessThan(250)
  }, 120_000)
})

describe('a version that takes nothing of a long body', () => {
  it('misses its deadline, is in error for it, and its client is told', async () => {
    const deaf = await deafServer()
    const one = await startGateway({
      routes: routesOf({
        m: {
          live: '1.0.0',
          versions: { '1.0.0': { url: deaf.url, protocol: 'json', weight: 100, deadline: '1s', firstByte: '1s' } },
          path: '/m',
          limits: { body: '16MiB' },
        },
      }),
    })
    for (const bytes of [4 * MIB, 8 * MIB]) {
      const sent = body(bytes)
      const { status } = await send(`${one.predictions}/m`, { chunks: [sent.subarray(0, MIB), sent.subarray(MIB)] })
      expect(status).toBe(504)
    }
    const metrics = (await send(`${one.admin}/metrics`)).text
    await until(
      async () => /requests_total\{[^}]*code="504"[^}]*\} 2/.test((await send(`${one.admin}/metrics`)).text),
      {
        what: () => `two answers with 504 in ${metrics}`,
      },
    )
    await one.stop()
  })
})

describe('a client that takes its time', () => {
  it("with a long answer holds back nobody's evidence for longer than its version may take, and is served to the end", async () => {
    const request = httpRequest(`${gateway.predictions}/stalling?answer=${8 * MIB}`, { method: 'POST', agent: false })
    request.end('{}')
    // Nothing of it is read before the others' evidence has come.
    const [response] = (await once(request, 'response')) as [IncomingMessage]
    const before = (await accountOf('kept')).compared
    expect((await send(`${gateway.predictions}/kept`, { body: body(2000) })).status).toBe(200)
    await until(async () => (await accountOf('kept')).compared > before, {
      timeoutMs: 25_000,
      what: () => 'the evidence of another route',
    })
    let bytes = 0
    for await (const chunk of response) bytes += (chunk as Buffer).length
    expect(bytes).toBe(8 * MIB)
  }, 60_000)
})

describe('a long body that does not come to its end', () => {
  it('because the client leaves while it sends: the call of the version is cancelled', async () => {
    const { aborted } = upstream
    const request = httpRequest(`${gateway.predictions}/passed?answer=10`, {
      method: 'POST',
      headers: { 'content-length': String(4 * MIB) },
    })
    request.on('error', () => {})
    upstream.coming = 0
    request.write(body(MIB))
    await until(() => upstream.coming >= MIB / 2)
    request.destroy()
    await until(() => upstream.aborted > aborted, { what: () => 'the call to be cancelled' })
  })

  it('because the client leaves while it reads: the same', async () => {
    const { aborted } = upstream
    const request = httpRequest(`${gateway.predictions}/passed?answer=${8 * MIB}&stall`, { method: 'POST' })
    request.on('error', () => {})
    request.on('response', response => {
      response.on('error', () => {})
      response.once('data', () => request.destroy())
    })
    request.end('{}')
    await until(() => upstream.aborted > aborted, { what: () => 'the call to be cancelled' })
  })

  it('because the version breaks off: the answer does so too', async () => {
    await expect(send(`${gateway.predictions}/passed?answer=${4 * MIB}&break`, { body: '{}' })).rejects.toThrow()
  })

  it('because it is longer than the limit says: 413, with a length or without', async () => {
    const sent = body(17 * MIB)
    expect(
      (await send(`${gateway.predictions}/passed?answer=10`, { body: sent }).catch(() => ({ status: 413 }))).status,
    ).toBe(413)
    const chunked = await send(`${gateway.predictions}/passed?answer=10`, {
      chunks: [sent.subarray(0, MIB), sent.subarray(MIB)],
    }).catch(error => error.code as string)
    // The rest of the body is refused, so the connection may break before the answer is read.
    if (typeof chunked === 'string') expect(['ECONNRESET', 'EPIPE']).toContain(chunked)
    else expect(chunked.status).toBe(413)
    expect((await send(`${gateway.predictions}/passed?answer=${17 * MIB}`, { body: '{}' })).status).toBe(502)
  })
})
