// What the scenes share: the actors, the figures that were measured, and what was expected and seen.
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { reportHtml } from '../../report/html/page.ts'
import type { Report } from '../../report/status.ts'
import type { Flight } from './rows.ts'
import type { Tell } from './tell.ts'
import type { Traffic } from './traffic.ts'
import type { World } from './world.ts'

export interface Check {
  readonly scene: string
  readonly ok: boolean
  readonly expected: string
  readonly seen: string
}

export interface Play {
  readonly tell: Tell
  readonly world: World
  readonly traffic: Traffic
  readonly flights: readonly Flight[]
  readonly signal: AbortSignal
  /** The scene that is on. */
  scene: string
  readonly checks: Check[]
  /** Everything measured, for --json. */
  readonly figures: Record<string, unknown>
  /** Paths of the reports written. */
  readonly reports: string[]
}

/** Holds what was seen against what was told; a failure is said at once and ends nothing. */
export function check(play: Play, ok: boolean, expected: string, seen: string): void {
  const { scene, checks, tell } = play
  checks.push({ scene, ok, expected, seen })
  if (!ok) tell.line(tell.style.bad(`not as told: expected ${expected}, seen ${seen}`))
}

/** Writes the page that `report --format html` gives; tells where. */
export async function saveReport(world: World, version: string, report: Report): Promise<string> {
  const file = join(world.folder, `report-${version}.html`)
  await writeFile(file, reportHtml(report))
  return file
}

export function share(percent: number): string {
  return `${percent} %`
}
