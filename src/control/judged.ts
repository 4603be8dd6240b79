// Remembers what the gate said of evidence that has not changed since. It decides nothing itself.

import { KeptCounters } from '../evidence/keptCounters.ts'
import type { Evidence, Policy, Verdict } from '../gate/evidence.ts'
import { judge } from '../gate/verdict.ts'

interface Said {
  readonly evidence: string
  readonly byPolicy: Map<string, Verdict>
}

/**
 * Evidence changes when epochs are committed, four times a second at most, and a verdict reads all of it: whoever asks in
 * between, for a status, a report or what another setting would do, gets the verdict that was made of the same.
 */
export class Judged {
  readonly #said = new Map<string, Said>()

  /** As `judge`. */
  judge(evidence: Evidence, policy: Policy): Verdict {
    const counted = evidence.periods.map(({ counters }) => stampOf(counters))
    if (counted.includes(undefined)) return judge(evidence, policy)
    const candidate = `${evidence.route}/${evidence.candidate.version}`
    const text = textOf({ ...evidence, periods: evidence.periods.map(withoutCounters), counted })
    let said = this.#said.get(candidate)
    if (said?.evidence !== text) {
      said = { evidence: text, byPolicy: new Map() }
      this.#said.set(candidate, said)
    }
    const { expect, labels, gate } = policy
    const asked = textOf({ expect, labels, gate })
    let verdict = said.byPolicy.get(asked)
    if (verdict === undefined) {
      verdict = judge(evidence, policy)
      said.byPolicy.set(asked, verdict)
    }
    return verdict
  }

  /** Forgets all but these candidates, `route/version`. */
  keep(candidates: ReadonlySet<string>): void {
    for (const candidate of this.#said.keys()) if (!candidates.has(candidate)) this.#said.delete(candidate)
  }
}

function stampOf(counters: Evidence['periods'][number]['counters']): number | undefined {
  return counters instanceof KeptCounters ? counters.stamp : undefined
}

function withoutCounters({ counters: _, ...period }: Evidence['periods'][number]) {
  return period
}

/** JSON would write every number that it lacks as null. */
function textOf(value: object): string {
  return JSON.stringify(value, (_key, inner: unknown) =>
    typeof inner === 'number' && !Number.isFinite(inner) ? String(inner) : inner,
  )
}
