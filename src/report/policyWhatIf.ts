// Changes single settings of a policy for a question, with the words and checks of routes.yaml. Pure; it licenses nothing.
import { faultsOf } from '../config/problems.ts'
import type { Policy } from '../gate/evidence.ts'
import { PolicyFile, policyJson } from './evidenceFile.ts'

export interface SettingChange {
  /** `gate.errors.floor` */
  readonly setting: string
  /** As YAML reads it: a number, a text such as `10m`, true or false. */
  readonly value: unknown
}

export interface ChangedPolicy {
  readonly policy: Policy
  /** A sentence for each thing that is wrong; none: `policy` is the one that was asked for. */
  readonly problems: readonly string[]
}

/** The policy with these settings. Counters that were made by a setting cannot answer for another value of it: refused by name. */
export function changePolicy(policy: Policy, changes: readonly SettingChange[]): ChangedPolicy {
  // A copy: parts of the policy are parts of its words.
  const words = structuredClone(policyJson(policy)) as Record<string, unknown>
  const problems: string[] = []
  for (const { setting, value } of changes) {
    const path = setting.split('.')
    if (!['expect', 'labels', 'gate'].includes(path[0]!)) {
      problems.push(`${setting}: a verdict reads \`expect\`, \`labels\` and \`gate\` only${hintOf(setting)}`)
      continue
    }
    if (!put(words, path, value)) {
      problems.push(`${setting}: unknown key \`${path.at(-1)}\``)
      continue
    }
    const [fault] = faultsOf(PolicyFile, words).filter(({ path: at }) => at.every((key, index) => key === path[index]))
    if (fault !== undefined) problems.push(`${setting}: ${fault.message}`)
  }
  if (problems.length > 0) return { policy, problems }
  const [other] = faultsOf(PolicyFile, words)
  if (other !== undefined) return { policy, problems: [`${other.path.join('.')}: ${other.message}`] }
  const changed = PolicyFile.parse(words)
  for (const { setting } of changes) {
    const why = countedBy(setting)
    if (why !== undefined) problems.push(`${setting}: ${why}`)
  }
  return { policy: problems.length > 0 ? policy : changed, problems }
}

/** Why another value of a setting is no question that counters can answer. */
function countedBy(setting: string): string | undefined {
  if (setting.startsWith('gate.latency.'))
    return 'slow answers were counted by the limit of their time, so another limit cannot be asked about'
  if (setting === 'gate.difference')
    return 'mean differences were counted in units of the limit of then, so another limit cannot be asked about'
  if (setting === 'gate.blocks')
    return 'blocks were counted at the length of then, so another length cannot be asked about'
  if (setting === 'labels.loss' || setting === 'labels.clip')
    return 'the losses were counted when the labels came, so another loss needs the predictions again'
  if (setting === 'labels.within') return 'labels that came too late were not counted, so this cannot be asked about'
  if (setting === 'gate.unproven' || setting === 'gate.paired') return 'a verdict does not depend on it'
  return undefined
}

function hintOf(setting: string): string {
  return setting.startsWith('compare.tolerance') ? '; ask about the tolerance with --tolerance' : ''
}

/** Sets a value; false where a map on the way is missing its place, or a name could reach a prototype. */
function put(words: Record<string, unknown>, path: readonly string[], value: unknown): boolean {
  if (path.some(key => key === '' || key in Object.prototype)) return false
  let at = words
  for (const key of path.slice(0, -1)) {
    const next = at[key] ?? {}
    if (typeof next !== 'object' || Array.isArray(next)) return false
    at[key] = next
    at = next as Record<string, unknown>
  }
  at[path.at(-1)!] = value
  return true
}
