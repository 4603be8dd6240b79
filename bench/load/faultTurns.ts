// Windows of a proxy with a bad shadow: it takes turns of a quarter of a second with the same proxy without one.
import type { Generator } from '../../src/load/generator.ts'
import type { TurnsPlanInput } from '../../src/load/plan.ts'
import type { Taken } from './faultFigures.ts'
import { FAULTS, type Family, type Fault, SHADOW_DEADLINE_SECONDS, type Shadow } from './faultSystems.ts'
import { shuffled } from './statistics.ts'
import { pause, runWindowInTurns, type Window } from './windows.ts'

/** Found together: a fault, and its proxy without a shadow twice. */
export interface Turns {
  readonly fault: Fault
  readonly own: Window
  readonly none: Window
  readonly again: Window
}

/**
 * Each fault takes turns with its proxy without a shadow, and not with the other faults: what those leave behind would
 * slow the plain proxy, and with it every ratio.
 */
export async function roundOfTurns(
  generator: Generator,
  { systems }: Family,
  random: () => number,
  plan: Omit<TurnsPlanInput, 'mode' | 'urls'>,
): Promise<Turns[]> {
  const systemOf = (shadow: Shadow) => systems.find(system => system.shadow === shadow)!
  const turns: Turns[] = []
  for (const fault of shuffled(FAULTS, random)) {
    const taken = [systemOf('none'), systemOf(fault), systemOf('none again')]
    const [none, own, again] = (await runWindowInTurns(generator, taken, plan)) as [Window, Window, Window]
    turns.push({ fault, own, none, again })
    // Its answers go on until the deadline of the last.
    if (fault === 'endless') await pause(SHADOW_DEADLINE_SECONDS * 1000)
  }
  return turns
}

/** Those of one system, and of the plain proxy beside them. */
export function windowsOf(shadow: Shadow, turns: readonly Turns[]): Pick<Taken, 'windows' | 'noneWindows'> {
  const found = shadow.startsWith('none') ? turns : turns.filter(({ fault }) => fault === shadow)
  const side = shadow === 'none' ? 'none' : shadow === 'none again' ? 'again' : 'own'
  return { windows: found.map(turn => turn[side]), noneWindows: found.map(({ none }) => none) }
}
