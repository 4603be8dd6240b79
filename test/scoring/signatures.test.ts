import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { v2 } from '../../src/protocols/openInference.ts'
import { SignatureSource } from '../../src/scoring/signatures.ts'
import { Upstream } from '../../src/scoring/upstream.ts'

let server: Server
let upstream: Upstream
let asked = 0
let answer: string | undefined

beforeEach(async () => {
  asked = 0
  server = createServer((_request, response) => {
    asked++
    if (answer !== undefined) response.end(answer)
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  upstream = new Upstream({ urls: [url], connectMs: 500, firstByteMs: 5_000, maxAnswerBytes: 1 << 20, connections: 2 })
})
afterEach(async () => {
  await upstream.destroy()
  server.closeAllConnections()
  await new Promise(resolve => server.close(resolve))
})

describe('the signature of a model server', () => {
  it('is waited for once, and never again by requests of a server that does not tell it', async () => {
    answer = undefined
    const source = new SignatureSource(upstream, v2, 'm')
    expect(await source.of(100)).toBeUndefined()
    const startedAt = performance.now()
    for (let request = 0; request < 50; request++) expect(await source.of(100)).toBeUndefined()
    expect(performance.now() - startedAt).toBeLessThan(50)
    expect(asked).toBe(1)
  })

  it('is what the server tells, asked for once', async () => {
    answer = JSON.stringify({
      inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, 2] }],
      outputs: [{ name: 'y', datatype: 'FP32', shape: [-1] }],
    })
    const source = new SignatureSource(upstream, v2, 'm')
    const [first, second] = [await source.of(1_000), await source.of(1_000)]
    expect(first?.inputs[0]).toMatchObject({ name: 'x', shape: [-1, 2] })
    expect(second).toBe(first)
    expect(asked).toBe(1)
  })
})
