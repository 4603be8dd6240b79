// What a hung shadow does to a gateway over many requests: memory over time, and where every mirrored request went.
import type { Generator } from '../../src/load/generator.ts'
import type { PlanInput } from '../../src/load/plan.ts'
import type { Status } from '../../src/report/status.ts'
import { residentBytesOf } from './procfs.ts'
import type { System } from './systems.ts'
import { pause } from './windows.ts'

/** Memory of one process tree under a steady load, MiB. */
export interface MemoryRun {
  readonly requests: number
  readonly failures: number
  readonly beforeMiB: number | undefined
  /** Largest in the first and in the second half of the run: bounded means that they are about the same. */
  readonly firstHalfMiB: number | undefined
  readonly secondHalfMiB: number | undefined
  readonly afterMiB: number | undefined
}

/** Where mirrored requests went, from the gateway's own status. */
export interface MirrorAccount {
  readonly eligible: number
  readonly notSampled: number
  readonly dropped: Readonly<Record<string, number>>
  readonly failed: Readonly<Record<string, number>>
  readonly compared: number
  readonly inFlight: number
  readonly lost: number
  /** eligible − everything else: 0 when each request is accounted for. */
  readonly missing: number
}

const SAMPLE_EVERY_MS = 250
const MIB = 1024 * 1024

export async function watchMemory(generator: Generator, system: System, plan: PlanInput): Promise<MemoryRun> {
  const beforeMiB = residentMiB(system)
  const samples: (number | undefined)[] = []
  const timer = setInterval(() => samples.push(residentMiB(system)), SAMPLE_EVERY_MS)
  try {
    const result = await generator.run(plan)
    const half = Math.floor(samples.length / 2)
    return {
      requests: result.sent,
      failures: result.sent - result.latency.n,
      beforeMiB,
      firstHalfMiB: most(samples.slice(0, half)),
      secondHalfMiB: most(samples.slice(half)),
      afterMiB: residentMiB(system),
    }
  } finally {
    clearInterval(timer)
  }
}

/**
 * The account of a gateway's shadow, of the first candidate where no version is named, once nothing is under way or
 * `waitMs` have passed.
 */
export async function mirrorAccount(system: System, waitMs: number, version?: string): Promise<MirrorAccount> {
  const deadline = performance.now() + waitMs
  while (true) {
    const account = accountOf(await statusOf(system), version)
    if ((account.inFlight === 0 && account.missing === 0) || performance.now() > deadline) return account
    await pause(500)
  }
}

/** Those of several gateways, or of one that was started several times. */
export function addedAccounts(accounts: readonly MirrorAccount[]): MirrorAccount {
  const counts = (key: 'dropped' | 'failed') => {
    const total: Record<string, number> = {}
    for (const account of accounts)
      for (const [reason, count] of Object.entries(account[key])) total[reason] = (total[reason] ?? 0) + count
    return total
  }
  const total = (key: Exclude<keyof MirrorAccount, 'dropped' | 'failed'>) =>
    accounts.reduce((all, account) => all + account[key], 0)
  return {
    eligible: total('eligible'),
    notSampled: total('notSampled'),
    dropped: counts('dropped'),
    failed: counts('failed'),
    compared: total('compared'),
    inFlight: total('inFlight'),
    lost: total('lost'),
    missing: total('missing'),
  }
}

async function statusOf(system: System): Promise<Status> {
  const answer = await fetch(`${system.adminUrl}/v1/status`)
  if (!answer.ok) throw new Error(`the gateway's status answered ${answer.status}`)
  return (await answer.json()) as Status
}

function accountOf(status: Status, version: string | undefined): MirrorAccount {
  const candidates = status.routes[0]?.candidates ?? []
  const account = candidates.find(each => version === undefined || each.version === version)?.account
  if (account === undefined) throw new Error('the gateway has no candidate')
  const { eligible, notSampled, dropped, failed, compared, inFlight, lost } = account
  const settled = notSampled + sum(dropped) + sum(failed) + compared + inFlight + lost
  return { eligible, notSampled, dropped, failed, compared, inFlight, lost, missing: eligible - settled }
}

/** Undefined where there is no /proc. */
export function residentMiB(system: System): number | undefined {
  const bytes = residentBytesOf(system.pid)
  return bytes === undefined ? undefined : bytes / MIB
}

function most(samples: readonly (number | undefined)[]): number | undefined {
  const known = samples.filter(sample => sample !== undefined)
  return known.length === 0 ? undefined : Math.max(...known)
}

function sum(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((total, count) => total + count, 0)
}
