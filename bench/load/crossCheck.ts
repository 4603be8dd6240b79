// Loads each proxy with our generator and with wrk in turn: what one finds, the other must find.
import type { Generator } from '../../src/load/generator.ts'
import { type ProxySystem, saturatingProxy } from './proxySystems.ts'
import { pairedRatio, type Ratio, type Spread, shuffled, spreadOf } from './statistics.ts'
import { runWrk, wrkVersion } from './wrk.ts'

export interface CrossCheck {
  readonly version: string
  readonly rounds: number
  readonly seconds: number
  readonly systems: readonly {
    readonly system: string
    readonly ours: Spread
    readonly wrk: Spread
    readonly oursOverWrk: Ratio
    readonly failures: number
    readonly wrkFailures: number
  }[]
}

const SECONDS = 1
const CONNECTIONS = 8

/** Undefined where wrk is not installed. */
export async function crossCheck(
  generator: Generator,
  systems: readonly ProxySystem[],
  rounds: number,
  random: () => number,
  scriptFile: string,
): Promise<CrossCheck | undefined> {
  const version = wrkVersion()
  if (version === undefined) return undefined
  const found = new Map(systems.map(({ name }) => [name, { ours: [], wrk: [], failures: 0, wrkFailures: 0 } as Found]))
  for (let round = 0; round < rounds; round++) {
    for (const system of shuffled(systems, random)) {
      const figures = found.get(system.name)!
      for (const who of shuffled(['ours', 'wrk'] as const, random)) {
        if (who === 'ours') {
          const { sent, latency, perSecond } = await generator.run(saturatingProxy(system, SECONDS))
          figures.ours.push(perSecond)
          figures.failures += sent - latency.n
        } else {
          const { perSecond, failures } = await runWrk(system, CONNECTIONS, SECONDS, scriptFile)
          figures.wrk.push(perSecond)
          figures.wrkFailures += failures
        }
      }
    }
    process.stderr.write(`wrk: round ${round + 1} of ${rounds}\n`)
  }
  return {
    version,
    rounds,
    seconds: SECONDS,
    systems: [...found].map(([system, { ours, wrk, failures, wrkFailures }]) => ({
      system,
      ours: spreadOf(ours),
      wrk: spreadOf(wrk),
      oursOverWrk: pairedRatio(ours, wrk),
      failures,
      wrkFailures,
    })),
  }
}

interface Found {
  readonly ours: number[]
  readonly wrk: number[]
  failures: number
  wrkFailures: number
}
