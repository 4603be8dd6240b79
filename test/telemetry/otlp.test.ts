import { once } from 'node:events'
import { appendFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { openTracing, type Tracing } from '../../src/telemetry/otlp.ts'
import { finishedRequest, TRACE_ID } from './finishedRequest.ts'

const SPANS_A_REQUEST = 4
const said: string[] = []
const log = {
  info: (message: string) => said.push(`info ${message}`),
  warn: (message: string) => said.push(`warn ${message}`),
}
let tracing: Tracing | undefined
let collector: Collector | undefined
let folder: string

beforeEach(() => {
  said.length = 0
  folder = mkdtempSync(join(tmpdir(), 'understudy-spans-'))
  for (const name of Object.keys(process.env)) if (name.startsWith('OTEL_')) vi.stubEnv(name, undefined)
})
afterEach(async () => {
  await tracing?.shutdown(100)
  tracing = undefined
  await collector?.close()
  collector = undefined
  vi.unstubAllEnvs()
  vi.restoreAllMocks()
  rmSync(folder, { recursive: true, force: true })
})

describe('where spans go', () => {
  it.each<[string, Record<string, string>]>([
    ['nothing is set', {}],
    ['the SDK is disabled, whatever else is set', { OTEL_SDK_DISABLED: 'true', OTEL_TRACES_EXPORTER: 'otlp' }],
    ['the exporter is none', { OTEL_TRACES_EXPORTER: 'none', OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1' }],
  ])('is nowhere when %s', async (_, env) => {
    expect(await open(env)).toBeUndefined()
  })

  it('is nowhere, and says so, when the exporter or the protocol is unknown', async () => {
    expect(await open({ OTEL_TRACES_EXPORTER: 'zipkin' })).toBeUndefined()
    expect(await open({ OTEL_TRACES_EXPORTER: 'otlp', OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc' })).toBeUndefined()
    expect(said).toEqual([
      'warn OTEL_TRACES_EXPORTER: expected otlp, console or none, got zipkin',
      'warn spans are not exported to otlp: expected protocol http/protobuf or http/json, got grpc',
    ])
  })

  it('is the file too when the SDK is not disabled, and not when it is', async () => {
    const file = join(folder, 'spans.jsonl')
    expect(await open({ OTEL_SDK_DISABLED: 'true' }, file)).toBeUndefined()
    await open({ OTEL_SDK_DISABLED: 'false', OTEL_TRACES_EXPORTER: 'none' }, file)
    expect(tracing).toBeDefined()
  })

  it('is the console when asked', async () => {
    const dir = vi.spyOn(console, 'dir').mockImplementation(() => {})
    await open({ OTEL_TRACES_EXPORTER: 'console' })
    tracing!.request(finishedRequest())
    await tracing!.flush()
    expect(dir).toHaveBeenCalledTimes(SPANS_A_REQUEST)
  })
})

describe('export to a collector', () => {
  it('sends JSON with our ids, resource and headers', async () => {
    collector = await Collector.listen()
    await open({
      OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
      OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
      OTEL_EXPORTER_OTLP_HEADERS: 'x-tenant=blue',
      OTEL_RESOURCE_ATTRIBUTES: 'deployment.environment.name=test',
    })
    tracing!.request(finishedRequest())
    await tracing!.flush()
    const [received] = collector.requests
    expect(received).toMatchObject({ path: '/v1/traces', contentType: 'application/json' })
    expect(received!.headers['x-tenant']).toBe('blue')
    const { resourceSpans } = JSON.parse(received!.body.toString())
    const resource = attributesOf(resourceSpans[0].resource.attributes)
    expect(resource).toMatchObject({
      'service.name': 'understudy',
      'service.version': '0.0.1',
      'deployment.environment.name': 'test',
    })
    expect(resource).not.toHaveProperty(['process.command_args'])
    const spans = resourceSpans[0].scopeSpans[0].spans
    expect(spans).toHaveLength(SPANS_A_REQUEST)
    for (const span of spans) expect(span.traceId).toBe(TRACE_ID)
    expect(spans.map((span: { spanId: string }) => span.spanId)).toContain('cccccccccccccccc')
    expect(tracing!.takeDrops()).toEqual({})
  })

  it('takes its name from OTEL_SERVICE_NAME, and its address from the variable for traces first', async () => {
    collector = await Collector.listen()
    await open({
      OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1',
      OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: `${collector.url}/custom`,
      OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: 'http/json',
      OTEL_SERVICE_NAME: 'gateway-7',
    })
    tracing!.request(finishedRequest())
    await tracing!.flush()
    expect(collector.requests[0]!.path).toBe('/custom')
    expect(collector.requests[0]!.body.toString()).toContain('"stringValue":"gateway-7"')
  })

  it('sends protobuf by default', async () => {
    collector = await Collector.listen()
    await open({ OTEL_EXPORTER_OTLP_ENDPOINT: collector.url })
    tracing!.request(finishedRequest())
    await tracing!.flush()
    expect(collector.requests[0]!.contentType).toBe('application/x-protobuf')
    expect(collector.requests[0]!.body.includes(Buffer.from(TRACE_ID, 'hex'))).toBe(true)
  })

  it('exports what waits when it is shut down', async () => {
    collector = await Collector.listen()
    await open({ OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json' })
    for (let i = 0; i < 300; i++) tracing!.request(finishedRequest())
    await tracing!.shutdown(5000)
    expect(collector.spans()).toBe(300 * SPANS_A_REQUEST)
    expect(tracing!.takeDrops()).toEqual({})
  })
})

// Small and quick, so that a test sees the bound: 8 spans wait, 4 go out together, a batch may take 150 ms.
const HASTY = {
  OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
  OTEL_EXPORTER_OTLP_TIMEOUT: '150',
  OTEL_BSP_MAX_QUEUE_SIZE: '8',
  OTEL_BSP_MAX_EXPORT_BATCH_SIZE: '4',
  OTEL_BSP_SCHEDULE_DELAY: '10',
}

describe('a collector that does not do its part', () => {
  it('hangs: nothing waits for it, memory is bounded, every span is accounted for, and export resumes', async () => {
    collector = await Collector.listen()
    collector.hangs = true
    await open({ ...HASTY, OTEL_EXPORTER_OTLP_ENDPOINT: collector.url })
    const started = performance.now()
    for (let i = 0; i < 2000; i++) tracing!.request(finishedRequest())
    expect(performance.now() - started).toBeLessThan(1500)
    // One batch is out and eight spans wait.
    expect(tracing!.takeDrops()).toEqual({ otlp_queue_full: 2000 * SPANS_A_REQUEST - 4 - 8 })

    await vi.waitFor(
      () => expect(said).toContainEqual(expect.stringMatching(/^warn spans cannot be exported to otlp/)),
      5000,
    )
    collector.hangs = false
    await vi.waitFor(() => {
      tracing!.request(finishedRequest())
      expect(said).toContain('info spans are exported to otlp again')
    }, 5000)
    expect(collector.spans()).toBeGreaterThan(0)
    expect(said.filter(line => line.startsWith('warn'))).toHaveLength(1)
  })

  it('refuses connections: drops are counted, and export resumes when it is back', async () => {
    collector = await Collector.listen()
    const { port, url } = collector
    await collector.close()
    await open({ ...HASTY, OTEL_EXPORTER_OTLP_ENDPOINT: url })
    tracing!.request(finishedRequest())
    await tracing!.flush()
    expect(tracing!.takeDrops()).toEqual({ otlp_export_failed: SPANS_A_REQUEST })
    expect(tracing!.takeDrops()).toEqual({})

    collector = await Collector.listen(port)
    tracing!.request(finishedRequest())
    await tracing!.flush()
    expect(collector.spans()).toBe(SPANS_A_REQUEST)
    expect(tracing!.takeDrops()).toEqual({})
  })

  it('answers with an error: what it refused is counted', async () => {
    collector = await Collector.listen()
    collector.status = 400
    await open({ ...HASTY, OTEL_EXPORTER_OTLP_ENDPOINT: collector.url })
    tracing!.request(finishedRequest())
    await tracing!.flush()
    expect(tracing!.takeDrops()).toEqual({ otlp_export_failed: SPANS_A_REQUEST })
  })

  it('is not said to have a trace that it may never get', async () => {
    collector = await Collector.listen()
    await open({ ...HASTY, OTEL_EXPORTER_OTLP_ENDPOINT: collector.url })
    expect(tracing!.request(finishedRequest())).toBe(true)
    await tracing!.flush()
    collector.status = 400
    expect(tracing!.request(finishedRequest())).toBe(true)
    await tracing!.flush()
    // Now it is known.
    collector.status = 200
    expect(tracing!.request(finishedRequest())).toBe(false)
    await tracing!.flush()
    expect(tracing!.request(finishedRequest())).toBe(true)
    await tracing!.flush()

    collector.hangs = true
    const stored = Array.from({ length: 20 }, () => tracing!.request(finishedRequest()))
    expect(stored.at(-1)).toBe(false)
    expect(stored.filter(Boolean).length * SPANS_A_REQUEST).toBeLessThanOrEqual(4 + 8)
    await tracing!.shutdown(10)
    expect(tracing!.request(finishedRequest())).toBe(false)
  })

  it('hangs while the process ends: the deadline holds, and what was not exported is counted', async () => {
    collector = await Collector.listen()
    collector.hangs = true
    await open({ ...HASTY, OTEL_EXPORTER_OTLP_TIMEOUT: '5000', OTEL_EXPORTER_OTLP_ENDPOINT: collector.url })
    tracing!.request(finishedRequest())
    const started = performance.now()
    await tracing!.shutdown(100)
    expect(performance.now() - started).toBeLessThan(2000)
    tracing!.request(finishedRequest())
    expect(tracing!.takeDrops()).toEqual({ otlp_shutdown: 2 * SPANS_A_REQUEST })
  })
})

describe('the thread that exports', () => {
  it('ends by itself once the deadline is past, although the collector hangs', { timeout: 20_000 }, async () => {
    collector = await Collector.listen()
    collector.hangs = true
    const env = { ...process.env, OTEL_EXPORTER_OTLP_ENDPOINT: collector.url }
    const thread = new Worker(join(import.meta.dirname, 'tracingThread.ts'), { env, execArgv: [] })
    const [drops] = await once(thread, 'message')
    expect(drops).toEqual({ otlp_shutdown: 200 * SPANS_A_REQUEST })
    const shutDown = performance.now()
    await once(thread, 'exit')
    // Left to itself the exporter's request would keep it for 10 s.
    expect(performance.now() - shutDown).toBeLessThan(5000)
  })
})

describe('a file of spans', () => {
  it('holds one OTLP request a line, appended', async () => {
    const file = join(folder, 'spans.jsonl')
    await open({}, file)
    tracing!.request(finishedRequest())
    await tracing!.flush()
    tracing!.request(finishedRequest({ comparisons: [] }))
    await tracing!.flush()
    const lines = readFileSync(file, 'utf8').trimEnd().split('\n')
    expect(lines.map(line => spansIn(JSON.parse(line)))).toEqual([4, 3])
  })

  it('ends half a line that was there, so that it spoils no other', async () => {
    const file = join(folder, 'spans.jsonl')
    appendFileSync(file, '{"resourceSpans":[{"half')
    await open({}, file)
    tracing!.request(finishedRequest())
    await tracing!.flush()
    const [half, whole, end] = readFileSync(file, 'utf8').split('\n')
    expect(half).toBe('{"resourceSpans":[{"half')
    expect(spansIn(JSON.parse(whole!))).toBe(4)
    expect(end).toBe('')
  })

  it('that cannot be written costs nothing but its spans, which are counted', async () => {
    await open({}, join(folder, 'no-such-folder', 'spans.jsonl'))
    tracing!.request(finishedRequest())
    await tracing!.flush()
    expect(tracing!.takeDrops()).toEqual({ file_export_failed: SPANS_A_REQUEST })
    expect(said).toHaveLength(1)
  })

  it('and a collector are served side by side: the one that fails does not hold up the other', async () => {
    collector = await Collector.listen()
    collector.hangs = true
    const file = join(folder, 'spans.jsonl')
    await open({ ...HASTY, OTEL_EXPORTER_OTLP_ENDPOINT: collector.url }, file)
    tracing!.request(finishedRequest())
    await vi.waitFor(() => expect(spansIn(JSON.parse(readFileSync(file, 'utf8')))).toBe(4))
    await tracing!.flush()
    expect(tracing!.takeDrops()).toEqual({ otlp_export_failed: SPANS_A_REQUEST })
  })
})

describe('a request that cannot be told', () => {
  it('is counted and harms nobody', async () => {
    await open({}, join(folder, 'spans.jsonl'))
    tracing!.request(finishedRequest({ inferences: null as never }))
    tracing!.request(finishedRequest({ inferences: null as never }))
    tracing!.request(finishedRequest())
    await tracing!.flush()
    expect(tracing!.takeDrops()).toEqual({ unwritable: 2 })
    expect(said).toHaveLength(1)
  })
})

async function open(env: Record<string, string>, file?: string): Promise<Tracing | undefined> {
  for (const [name, value] of Object.entries(env)) vi.stubEnv(name, value)
  tracing = await openTracing({ file, version: '0.0.1', log })
  return tracing
}

function spansIn(request: { resourceSpans: { scopeSpans: { spans: unknown[] }[] }[] }): number {
  return request.resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap(({ spans }) => spans)).length
}

function attributesOf(list: { key: string; value: Record<string, unknown> }[]): Record<string, unknown> {
  return Object.fromEntries(list.map(({ key, value }) => [key, Object.values(value)[0]]))
}

interface Received {
  readonly path: string
  readonly contentType: string | undefined
  readonly headers: IncomingMessage['headers']
  readonly body: Buffer
}

/** A collector on a port of its own, that can be told to hang or to refuse. */
class Collector {
  readonly requests: Received[] = []
  hangs = false
  status = 200
  readonly #server: Server

  private constructor() {
    this.#server = createServer((request, response) => void this.#answer(request, response))
  }

  static async listen(port = 0): Promise<Collector> {
    const collector = new Collector()
    collector.#server.listen(port, '127.0.0.1')
    await once(collector.#server, 'listening')
    return collector
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`
  }

  spans(): number {
    return this.requests.reduce((total, request) => total + spansIn(JSON.parse(request.body.toString())), 0)
  }

  async close(): Promise<void> {
    if (!this.#server.listening) return
    this.#server.closeAllConnections()
    this.#server.close()
    await once(this.#server, 'close')
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const hangs = this.hangs
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk)
    if (hangs) return
    const { url: path = '', headers } = request
    if (this.status === 200) {
      this.requests.push({ path, headers, contentType: headers['content-type'], body: Buffer.concat(chunks) })
    }
    response.writeHead(this.status, { 'content-type': headers['content-type'] }).end()
  }
}
