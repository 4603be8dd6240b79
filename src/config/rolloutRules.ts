// What must hold between the keys of one route that say how a version is judged and raised. Reads the raw value.
import type { Fault } from './problems.ts'
import { durationMs } from './units.ts'

type Raw = Readonly<Record<string, unknown>>
type Report = (path: (string | number)[], what: Fault['what'], message: string) => void

/** Epochs are this long, so that no block can be shorter. */
const SHORTEST_BLOCK_MS = 250

export function checkRollout(route: Raw, at: Report): void {
  checkSecondRuns(route, at)
  checkAutomatic(route, at)
  checkHoldback(route, at)
  checkExposure(route, at)
  checkDifference(route, at)
}

/**
 * Live is asked twice only where that harms nobody. Any version may become live, by promotion or by rollback, and no key
 * may stop that, so every one of them has to say it.
 */
function checkSecondRuns(route: Raw, at: Report): void {
  const again = isMap(route.compare) ? route.compare.again : undefined
  if (isAbove0(again)) {
    const not = versionsOf(route).find(([, { url, repeatable }]) =>
      url === undefined ? repeatable === false : repeatable !== true,
    )
    if (not !== undefined)
      at(
        ['compare', 'again'],
        'value',
        `expected \`repeatable: true\` at ${not[0]}: live is asked twice, and any version may become live`,
      )
  }
  const paired = isMap(route.gate) ? route.gate.paired : undefined
  if (isAbove0(paired)) {
    const not = versionsOf(route).find(([, entry]) => !isMirrorable(entry))
    if (not !== undefined)
      at(
        ['gate', 'paired'],
        'value',
        `expected \`mirrorable: true\` at ${not[0]}: live scores some of the canary's requests too, and any version may become live`,
      )
  }
}

function checkAutomatic(route: Raw, at: Report): void {
  if (!isMap(route.rollout) || route.rollout.mode !== 'auto') return
  if (route.rollout.write === 'patch')
    at(['rollout', 'write'], 'value', 'expected `write: file` beside `mode: auto`: a patch waits for a person')
  for (const [version, { url, traced, identity }] of versionsOf(route)) {
    if ((url !== undefined || traced !== undefined) && identity === undefined)
      at(
        ['rollout', 'mode'],
        'value',
        `expected \`identity\` at ${version}, or mode manual: what runs ${url === undefined ? 'elsewhere' : 'behind its address'} is not verified, so nothing is raised by itself`,
      )
  }
}

/** With a holdback the last step, 100, stands for what it leaves; a step between the two would be a way down. */
function checkHoldback(route: Raw, at: Report): void {
  if (!isMap(route.rollout) || !isAbove0(route.rollout.holdback)) return
  const { steps, holdback } = route.rollout
  if (!Array.isArray(steps)) return
  const most = 100 - (holdback as number)
  steps.forEach((step, index) => {
    if (typeof step === 'number' && step < 100 && step >= most)
      at(
        ['rollout', 'steps', index],
        'value',
        `expected a step below ${most}, since the last step, 100, is ${most} with a holdback of ${holdback}; got ${step}`,
      )
  })
}

function checkExposure(route: Raw, at: Report): void {
  const exposure = isMap(route.gate) && isMap(route.gate.exposure) ? route.gate.exposure : undefined
  const least = milliseconds(exposure === undefined || exposure.for === undefined ? '1h' : exposure.for)
  const most = milliseconds(exposure?.atMost === undefined ? '14d' : exposure.atMost)
  if (least !== undefined && most !== undefined && most < least)
    at(
      ['gate', 'exposure', exposure?.atMost === undefined ? 'for' : 'atMost'],
      'value',
      'expected `atMost` to be no shorter than `for`: every step would end in hold before it may be promoted',
    )
  const blocks = isMap(route.gate) ? milliseconds(route.gate.blocks) : undefined
  if (blocks !== undefined && blocks < SHORTEST_BLOCK_MS)
    at(['gate', 'blocks'], 'value', `expected blocks of at least ${SHORTEST_BLOCK_MS}ms`)
  if (blocks !== undefined && most !== undefined && blocks > most)
    at(['gate', 'blocks'], 'value', 'expected blocks shorter than `exposure.atMost`: none would ever be complete')
}

/** A signed difference is one of numbers. Where the kind comes from the model's output it is not known here. */
function checkDifference(route: Raw, at: Report): void {
  if (!isMap(route.gate) || route.gate.difference === undefined || !isMap(route.compare)) return
  const outputs = route.compare.output
  const first = Array.isArray(outputs) && isMap(outputs[0]) ? outputs[0] : route.compare
  if (typeof first.kind === 'string' && ['label', 'ranking'].includes(first.kind))
    at(['gate', 'difference'], 'key', `\`difference\` is for outputs that are numbers, not for kind ${first.kind}`)
}

function isMirrorable({ url, mirrorable }: Raw): boolean {
  return url === undefined ? mirrorable !== false : mirrorable === true
}

function versionsOf(route: Raw): [string, Raw][] {
  if (!isMap(route.versions)) return []
  return Object.entries(route.versions).filter((pair): pair is [string, Raw] => isMap(pair[1]))
}

function milliseconds(value: unknown): number | undefined {
  const parsed = durationMs.safeParse(value)
  return parsed.success ? parsed.data : undefined
}

function isAbove0(value: unknown): boolean {
  return typeof value === 'number' && value > 0
}

function isMap(value: unknown): value is Raw {
  return value !== null && typeof value === 'object' && !Array.isArray(value)
}
