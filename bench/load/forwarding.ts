// Sends one request through a proxy and sees whether it passed it and its answer on.
import type { Running } from './processes.ts'
import { receivedBy } from './received.ts'

export interface Asked {
  readonly url: string
  readonly bodies: readonly string[]
  /** Names and values in turn. */
  readonly headers: readonly string[]
}

/** What is wrong with how it forwards one request: a proxy that leaves the body or the answer out does less work. */
export async function forwardingFault(system: Asked, live: Running, canary: Running): Promise<string | undefined> {
  const body = system.bodies[0]!
  const ask = async (url: string) => {
    const headers = Array.from({ length: system.headers.length / 2 }, (_, index): [string, string] => [
      system.headers[2 * index]!,
      system.headers[2 * index + 1]!,
    ])
    const answer = await fetch(url, { method: 'POST', headers, body })
    return { status: answer.status, text: await answer.text() }
  }
  const expected = await Promise.all([live, canary].map(({ ready }) => ask(`http://127.0.0.1:${ready.port}/`)))
  const bytesReceived = async () => (await receivedBy(live)).bytes + (await receivedBy(canary)).bytes
  const before = await bytesReceived()
  const answer = await ask(system.url)
  const bytes = (await bytesReceived()) - before
  if (answer.status !== 200) return `it answered ${answer.status}`
  if (!expected.some(({ text }) => text === answer.text)) return "its answer was not the model server's"
  return bytes < body.length ? `it passed ${bytes} of ${body.length} bytes on` : undefined
}
