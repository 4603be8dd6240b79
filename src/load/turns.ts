// An open loop over several servers in short turns: each is loaded alone, and whatever else the machine does meets all.
import { monotonicMs } from '../record/clock.ts'
import { warmUp } from './closedLoop.ts'
import { Connections } from './connections.ts'
import { sendWhenDue } from './openLoop.ts'
import { Pacer } from './pacer.ts'
import type { LoadResult, TurnsPlan } from './plan.ts'
import { seededRandom } from './schedule.ts'
import { Tally } from './tally.ts'

/**
 * One schedule for all; in each cycle every server has one turn of `turnMs`, in random order.
 * @returns the result of each server, in the order of `urls`
 */
export async function runTurns(plan: TurnsPlan): Promise<LoadResult[]> {
  const servers = plan.urls.map(url => ({
    connections: new Connections({ ...plan, url }),
    tally: new Tally('open', plan.timeoutMs),
  }))
  const pacer = new Pacer(plan)
  try {
    await pacer.ready()
    const warmedUp: number[] = []
    for (const { connections } of servers) warmedUp.push(await warmUp(connections, plan))
    const startMs = monotonicMs()
    pacer.start(startMs)
    const turns = new Turns(plan)
    await sendWhenDue(plan, pacer, startMs, dueMs => {
      const { connections, tally } = servers[turns.at(dueMs)]!
      tally.sendFrom(connections, startMs + dueMs)
    })
    await Promise.all(servers.map(({ tally }) => tally.settle()))
    // Each server was loaded for its share of the time only.
    const seconds = (monotonicMs() - startMs) / 1000 / servers.length
    return servers.map(({ tally }, index) => tally.result(warmedUp[index]!, seconds))
  } finally {
    await pacer.close()
    await Promise.all(servers.map(({ connections }) => connections.close()))
  }
}

/** Whose turn it is. Asked with growing times. */
class Turns {
  readonly #turnMs: number
  readonly #random: () => number
  #order: number[]
  #cycle = 0

  constructor({ urls, turnMs, seed }: TurnsPlan) {
    this.#turnMs = turnMs
    this.#random = seededRandom(seed)
    this.#order = this.#shuffled(urls.map((_, index) => index))
  }

  at(ms: number): number {
    const turn = Math.floor(ms / this.#turnMs)
    const cycle = Math.floor(turn / this.#order.length)
    for (; this.#cycle < cycle; this.#cycle++) this.#order = this.#shuffled(this.#order)
    return this.#order[turn % this.#order.length]!
  }

  #shuffled(order: readonly number[]): number[] {
    return order
      .map(index => ({ index, key: this.#random() }))
      .sort((a, b) => a.key - b.key)
      .map(({ index }) => index)
  }
}
