import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { Verifications } from '../../src/control/verifications.ts'
import type { LoadedModel, VerifyModel } from '../../src/scoring/message.ts'

const model: VerifyModel = { file: 'model.onnx', sha256: 'a' }
const loaded: LoadedModel = { inputs: [], outputs: [], p99Ms: 1 }
const sent: number[] = []
let calls: Verifications

beforeEach(() => {
  vi.useFakeTimers()
  sent.length = 0
  calls = new Verifications(call => sent.push(call), 60_000)
})
afterEach(() => {
  vi.useRealTimers()
})

test('a check is answered by the thread that it was sent to', async () => {
  const asked = calls.ask(model)
  calls.verified(1, loaded)
  await expect(asked).resolves.toBe(loaded)
  const refused = calls.ask(model)
  calls.refused(2, 'golden vector 3 differs')
  await expect(refused).rejects.toThrow('golden vector 3 differs')
})

test('a check that the thread took with it, and one posted while there is none, go to the next thread', async () => {
  const before = calls.ask(model)
  calls.down()
  const meanwhile = calls.ask(model)
  expect(sent).toEqual([1])
  calls.up()
  expect(sent).toEqual([1, 1, 2])
  calls.verified(1, loaded)
  calls.verified(2, loaded)
  await expect(Promise.all([before, meanwhile])).resolves.toEqual([loaded, loaded])
})

test('a check that takes two threads with it is refused', async () => {
  const asked = calls.ask(model)
  calls.down()
  calls.up()
  calls.down()
  await expect(asked).rejects.toMatchObject({ code: 'MODEL_BROKEN' })
  calls.up()
  expect(sent).toEqual([1, 1])
})

test('a check that nobody answers ends at its deadline, and a late answer does no harm', async () => {
  const asked = calls.ask(model)
  const refused = expect(asked).rejects.toMatchObject({
    code: 'MODEL_BROKEN',
    message: 'it could not be checked in time',
  })
  await vi.advanceTimersByTimeAsync(60_000)
  await refused
  calls.verified(1, loaded)
})

test('what is still asked when the gateway stops is refused', async () => {
  const asked = calls.ask(model)
  calls.end()
  await expect(asked).rejects.toMatchObject({ code: 'MODEL_BROKEN' })
})
