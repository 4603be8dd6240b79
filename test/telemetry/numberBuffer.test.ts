import { expect, it } from 'vitest'
import { NumberBuffer } from '../../src/telemetry/numberBuffer.ts'

it('gives what was pushed since it was last taken, however much that is', () => {
  const buffer = new NumberBuffer()
  expect(buffer.take()).toHaveLength(0)
  for (let value = 0; value < 1_000; value++) buffer.push(value)
  const first = buffer.take()
  buffer.push(-0.5)
  expect([...buffer.take()]).toEqual([-0.5])
  expect([...first], 'what was taken stays as it was').toEqual(Array.from({ length: 1_000 }, (_, value) => value))
})
