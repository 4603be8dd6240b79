// What the questions of this benchmark share: a generator, a folder, and the processes that were started.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Generator } from '../../src/load/generator.ts'
import { seededRandom } from '../../src/load/schedule.ts'
import { type Running, startPeer } from '../load/processes.ts'

export interface GatewayPlace {
  readonly threads?: number
  readonly home?: string
  readonly processor?: number | undefined
}

export class Bench {
  readonly quick: boolean
  /** How often gateways are started whose requests are timed, and windows of each start. */
  readonly starts: number
  readonly rounds: number
  readonly random: () => number
  readonly folder = mkdtempSync(join(tmpdir(), 'understudy-growth-'))
  #generator: Generator | undefined
  readonly #running: Running[] = []
  #homes = 0

  constructor(quick: boolean, starts: number, rounds: number, seed: number) {
    this.quick = quick
    this.starts = starts
    this.rounds = rounds
    this.random = seededRandom(seed)
  }

  /** Started at its first use: it inherits where this process may run by then. */
  get generator(): Generator {
    this.#generator ??= new Generator()
    return this.#generator
  }

  /** On standard error: what is being measured. */
  tell(what: string): void {
    process.stderr.write(`${what}\n`)
  }

  /** A folder of its own. */
  home(): string {
    const home = join(this.folder, String(++this.#homes))
    mkdirSync(home)
    return home
  }

  async start(peer: string, args: readonly string[], processor?: number): Promise<Running> {
    const process = await startPeer(peer, args, [], processor)
    this.#running.push(process)
    return process
  }

  /** A gateway; `processor`: where it runs alone. */
  gateway(routesText: string, { threads = 1, home = this.home(), processor }: GatewayPlace = {}): Promise<Running> {
    const routes = join(home, 'routes.yaml')
    writeFileSync(routes, routesText)
    return this.start('gateway', [routes, join(home, 'state'), String(threads)], processor)
  }

  /** Ends one process before the others. */
  async end(process: Running): Promise<void> {
    const at = this.#running.indexOf(process)
    if (at >= 0) this.#running.splice(at, 1)
    await process.close()
  }

  async close(): Promise<void> {
    await this.#generator?.close()
    // In reverse: gateways before what they forward to.
    for (const each of this.#running.toReversed()) await each.close()
    rmSync(this.folder, { recursive: true, force: true })
  }
}
