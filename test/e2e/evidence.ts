// Reads a candidate's evidence counters and its account from a running gateway.
import { expect } from 'vitest'
import type { Report } from '../../src/report/status.ts'
import { accountSums, getJson, type TestGateway, until } from './gateway.ts'

interface EvidenceJson {
  readonly evidence: {
    readonly periods: readonly { readonly counters: Record<string, number>; readonly segments?: readonly string[] }[]
    readonly mirrored: { readonly eligible: number; readonly dropped: number }
  }
}

/** Counters of all periods added up; a slot that is not there is 0. */
export interface Counted {
  at(slot: string): number
  /** Sum of the slots that begin so, segments left out. */
  sum(prefix: string): number
  readonly slots: readonly string[]
  /** Of the last period. */
  readonly segments: readonly string[]
  readonly mirrored: { readonly eligible: number; readonly dropped: number }
}

export async function countedOf(gateway: TestGateway, candidate = '1.1.0', route = 'risk'): Promise<Counted> {
  const url = `${gateway.admin}/v1/routes/${route}/evidence?candidate=${candidate}`
  const { evidence } = (await getJson(url)) as EvidenceJson
  const counters = new Map<string, number>()
  for (const period of evidence.periods) {
    for (const [slot, amount] of Object.entries(period.counters)) counters.set(slot, (counters.get(slot) ?? 0) + amount)
  }
  const slots = [...counters.keys()]
  return {
    at: slot => counters.get(slot) ?? 0,
    sum: prefix =>
      slots.reduce((sum, slot) => sum + (slot.startsWith(prefix) && !slot.includes('@') ? counters.get(slot)! : 0), 0),
    slots,
    segments: evidence.periods.at(-1)?.segments ?? [],
    mirrored: evidence.mirrored,
  }
}

/** The counters once nothing is in flight; the account is checked to add up at every look on the way. */
export async function settledWhen(
  gateway: TestGateway,
  isSettled: (counted: Counted, account: Report['account']) => boolean,
  { candidate = '1.1.0', timeoutMs = 15_000 } = {},
): Promise<Counted> {
  let last: unknown
  return until(
    async () => {
      const url = `${gateway.admin}/v1/routes/risk/report?candidate=${candidate}`
      const { account } = (await getJson(url)) as Report
      const sums = accountSums(account)
      expect(sums.accounted).toBe(sums.eligible)
      expect(account.inFlight).toBeGreaterThanOrEqual(0)
      const counted = await countedOf(gateway, candidate)
      last = [
        account,
        counted.slots.filter(slot => /^(arm|again|block|pair|record)/.test(slot)).map(slot => [slot, counted.at(slot)]),
      ]
      return account.inFlight === 0 && isSettled(counted, account) ? counted : undefined
    },
    { timeoutMs, what: () => `the evidence to settle: ${JSON.stringify(last)}` },
  )
}
