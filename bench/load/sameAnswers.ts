// Asks systems the same and holds their answers against one another's: who answers alike has done the same work.
import { largestDifference, type V2Answer } from './agreement.ts'
import type { System } from './systems.ts'

export interface Agreement {
  readonly system: string
  readonly largestDifference: number
}

/** Every runtime is of one version, so its sums are the same but for the order of some. */
const AGREEMENT = 1e-5

/** Over all bodies. @throws where a system's answer is another than the reference's */
export async function sameAnswers(
  systems: readonly System[],
  reference: System,
  bodies: readonly string[],
): Promise<readonly Agreement[]> {
  const wanted: V2Answer[] = []
  for (const body of bodies) wanted.push(await liveAnswer(reference, body))
  const agreement: Agreement[] = []
  for (const system of systems) {
    let largest = 0
    for (const [index, body] of bodies.entries()) {
      largest = Math.max(largest, largestDifference(await liveAnswer(system, body), wanted[index]!))
    }
    if (largest > AGREEMENT) throw new Error(`${system.name} does other work: its answers are ${largest} away`)
    agreement.push({ system: system.name, largestDifference: largest })
  }
  return agreement
}

/** The answer of 1.0.0: one in a hundred is the canary's. */
async function liveAnswer({ url }: System, body: string): Promise<V2Answer> {
  while (true) {
    const answer = await fetch(url, { method: 'POST', headers: { 'content-type': 'application/json' }, body })
    if (!answer.ok) throw new Error(`${url} answered ${answer.status}`)
    const read = (await answer.json()) as V2Answer
    if (read.model_version === '1.0.0') return read
  }
}
