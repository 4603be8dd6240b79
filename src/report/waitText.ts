// Puts the time to a verdict into words. Decides nothing.
import { about, approximate, duration } from '../gate/wording.ts'
import { settingText } from './settings.ts'
import type { Dominating, TimeToVerdict, Wait } from './timeToVerdict.ts'

/** `about 40 minutes`; `no time can be said` where nothing comes or it never gets there. */
export function secondsText(seconds: number): string {
  return `about ${duration(Math.max(1, Math.ceil(seconds)) * 1000)}`
}

/** 3.2 → "3.2/s", 0.03 → "1.8/min", 0.0003 → "1.08/h". */
export function rateText(perSecond: number): string {
  const [amount, unit] =
    perSecond >= 1 ? [perSecond, 's'] : perSecond * 60 >= 1 ? [perSecond * 60, 'min'] : [perSecond * 3600, 'h']
  return `${about(amount)}/${unit}`
}

/** What is still needed, `about 1,900 labels`. */
export function neededText({ what, needed, unit, n }: Wait): string {
  if (what === 'time') return duration((needed ?? 0) * 1000)
  if (needed !== null) return `about ${approximate(needed)} ${unit}`
  return n === 0 ? `${unit}: none yet` : 'not within the limit as it looks now'
}

/** How long that takes, `about 10 minutes at 3.2/s`. */
export function waitText({ what, needed, perSecond, rateOf, secondsToVerdict }: Wait): string {
  if (what === 'time' && secondsToVerdict !== null) return secondsText(secondsToVerdict)
  if (needed === null) return ''
  if (secondsToVerdict === null || perSecond === null) return 'no rate yet'
  const mean = rateOf === 'step' ? ', the mean of this step' : ''
  return `${secondsText(secondsToVerdict)} at ${rateText(perSecond)}${mean}`
}

/** Which metric takes longest, and which setting that is due to; empty where nothing is waited for. */
export function dominatesText({ dominates, secondsToVerdict, secondsToHold }: TimeToVerdict): string[] {
  if (dominates === null) return []
  const lines = [`the verdict waits for ${dominates.what}: ${lengthText(dominates)}${settingPhrase(dominates)}`]
  if (secondsToVerdict !== null && secondsToHold > 0 && secondsToVerdict > secondsToHold)
    lines.push(
      `that is too long: in ${secondsText(secondsToHold)} \`gate.exposure.atMost\` is over and the verdict is hold`,
    )
  return lines
}

function lengthText({ secondsToVerdict, what, setting }: Dominating): string {
  if (secondsToVerdict === null)
    return setting === undefined ? 'nothing comes for it yet, so no time can be said' : 'no time can be said'
  return `${secondsText(secondsToVerdict)}${what === 'time' ? '' : ' at this rate'}`
}

function settingPhrase({ setting, value, at }: Dominating): string {
  if (setting === undefined || value === undefined) return ''
  const then =
    at === undefined
      ? ''
      : `; at ${settingText(setting, at.value)} it would be ${at.secondsToVerdict === 0 ? 'done now' : secondsText(at.secondsToVerdict)}`
  return `; \`${setting}\` (${settingText(setting, value)}) decides that${then}`
}
