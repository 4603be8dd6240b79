// Windows of a proxy with a bad shadow: it takes turns of a quarter of a second with the same proxy without one.
import type { Generator } from '../../src/load/generator.ts'
import type { TurnsPlanInput } from '../../src/load/plan.ts'
import type { Taken } from './faultFigures.ts'
import { type Family, type Fault, SHADOW_DEADLINE_SECONDS, type Shadow } from './faultSystems.ts'
import { pause, runWindowInTurns, type Window } from './windows.ts'

/** Found together: a fault, and its proxy without a shadow twice. */
export interface Turns {
  /** Which start of the three. */
  readonly start: number
  readonly fault: Fault
  readonly own: Window
  readonly none: Window
  readonly again: Window
}

/** Windows before those that count. A proxy has been idle while others were started: its pages and caches are cold. */
const WARM_UP_WINDOWS = 2

export async function turnsOf(
  generator: Generator,
  { fault, systems }: Family,
  start: number,
  rounds: number,
  planOf: (round: number) => Omit<TurnsPlanInput, 'mode' | 'urls'>,
  taken: (round: number) => void,
): Promise<Turns[]> {
  const systemOf = (shadow: Shadow) => systems.find(system => system.shadow === shadow)!
  const three = [systemOf('none'), systemOf(fault), systemOf('none again')]
  const turns: Turns[] = []
  for (let round = -WARM_UP_WINDOWS; round < rounds; round++) {
    const [none, own, again] = (await runWindowInTurns(generator, three, planOf(round))) as [Window, Window, Window]
    if (round < 0) continue
    turns.push({ start, fault, own, none, again })
    taken(round)
  }
  // Its answers go on until the deadline of the last.
  if (fault === 'endless') await pause(SHADOW_DEADLINE_SECONDS * 1000)
  return turns
}

/** Those of one system, and of the plain proxy beside them. */
export function windowsOf(shadow: Shadow, turns: readonly Turns[]): Pick<Taken, 'windows' | 'noneWindows' | 'starts'> {
  const found = shadow.startsWith('none') ? turns : turns.filter(({ fault }) => fault === shadow)
  const side = shadow === 'none' ? 'none' : shadow === 'none again' ? 'again' : 'own'
  return {
    windows: found.map(turn => turn[side]),
    noneWindows: found.map(({ none }) => none),
    starts: found.map(({ start }) => start),
  }
}
