import { expect, it } from 'vitest'
import { flightRequests } from '../../bench/load/rows.ts'
import { inParallel, predict, routesOf, startGateway } from './gateway.ts'

it('answers under load with the bytes that it answers with alone', async () => {
  const gateway = await startGateway({
    routes: routesOf({
      flights: { live: '1.0.0', versions: { '1.0.0': { onnx: 'flight-delay/1.0.0', weight: 100 } } },
      compared: {
        live: '1.0.0',
        versions: {
          '1.0.0': { onnx: 'flight-delay/1.0.0', weight: 100 },
          '2.0.0': { onnx: 'flight-delay/2.0.0', shadow: 100 },
        },
      },
    }),
  })
  const ask = async (model: string, body: string) => {
    const { status, text } = await predict(gateway, model, body)
    expect(status).toBe(200)
    return text
  }
  const bodies = flightRequests(200)
  for (const model of ['flights', 'compared']) {
    const alone: string[] = []
    for (const body of bodies) alone.push(await ask(model, body))
    expect(new Set(alone).size).toBeGreaterThan(100)
    const together = await inParallel(1_000, 24, index => ask(model, bodies[index % bodies.length]!))
    for (const [index, answer] of together.entries()) expect(answer).toBe(alone[index % bodies.length])
  }
})
