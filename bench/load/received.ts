// What a model server of the benchmark says that it received: the others' word on copies, and ours is checked by it.
import type { Running } from './processes.ts'

export interface Received {
  readonly requests: number
  readonly rows: number
  readonly bytes: number
}

export async function receivedBy({ ready }: Running): Promise<Received> {
  const answer = await fetch(`http://127.0.0.1:${ready.port}/received`)
  return (await answer.json()) as Received
}
