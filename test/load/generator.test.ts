import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterEach, describe, expect, it } from 'vitest'
import { Generator } from '../../src/load/generator.ts'
import type { PlanInput } from '../../src/load/plan.ts'
import { type CountingServer, serve } from './server.ts'

let server: CountingServer | undefined
let generator: Generator | undefined
afterEach(async () => {
  await generator?.close()
  await server?.close()
  generator = undefined
  server = undefined
})

const planFor = (url: string): PlanInput => ({ mode: 'closed', url, bodies: ['{}'], connections: 2, requests: 20 })

describe('a generator process', () => {
  it('runs one plan after another and tells the result of each', async () => {
    server = await serve((_request, response) => response.end('{}'))
    generator = new Generator()
    for (const requests of [20, 5]) {
      const result = await generator.run({ ...planFor(server.url), mode: 'closed', requests })
      expect(result.statuses).toEqual({ 200: requests })
    }
    expect(server.requests()).toBe(25)
  })

  it('refuses a plan that is not one, names the key, and takes the next', async () => {
    server = await serve((_request, response) => response.end('{}'))
    generator = new Generator()
    await expect(generator.run({ ...planFor(server.url), connections: 0 })).rejects.toThrow('connections')
    const unbounded: PlanInput = { mode: 'open', url: server.url, bodies: ['{}'], rate: 1_000_000, seconds: 86_400 }
    await expect(generator.run(unbounded)).rejects.toThrow('requests')
    expect((await generator.run(planFor(server.url))).sent).toBe(20)
  })

  it('takes its plan as an argument, prints JSON and ends', async () => {
    server = await serve((_request, response) => response.end('{}'))
    const file = fileURLToPath(new URL('../../src/load/process.ts', import.meta.url))
    const { stdout } = await promisify(execFile)(process.execPath, [file, JSON.stringify(planFor(server.url))])
    expect(JSON.parse(stdout)).toMatchObject({ result: { mode: 'closed', sent: 20, statuses: { 200: 20 } } })
  })
})
