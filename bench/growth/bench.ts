// What the questions of this benchmark share besides: how much is asked, and gateways of any routes.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { seededRandom } from '../../src/load/schedule.ts'
import { Bench } from '../load/bench.ts'
import type { Running } from '../load/processes.ts'

export interface GatewayPlace {
  readonly threads?: number
  readonly home?: string
  readonly processor?: number | undefined
}

export class GrowthBench extends Bench {
  readonly quick: boolean
  /** How often gateways are started whose requests are timed, and windows of each start. */
  readonly starts: number
  readonly rounds: number
  readonly random: () => number

  constructor(quick: boolean, starts: number, rounds: number, seed: number) {
    super('growth')
    this.quick = quick
    this.starts = starts
    this.rounds = rounds
    this.random = seededRandom(seed)
  }

  /** A gateway; `processor`: where it runs alone. */
  gateway(routesText: string, { threads = 1, home = this.home(), processor }: GatewayPlace = {}): Promise<Running> {
    const routes = join(home, 'routes.yaml')
    writeFileSync(routes, routesText)
    return this.start('gateway', [routes, join(home, 'state'), String(threads)], { processor })
  }
}
