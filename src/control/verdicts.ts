// Asks the gate about every candidate when its evidence has changed, and remembers what it said.
import type { RoutesFile } from '../config/schema.ts'
import { SLOT } from '../evidence/counters.ts'
import { binsOf } from '../evidence/histogram.ts'
import type { Decision, Evidence, Policy, Verdict } from '../gate/evidence.ts'
import type { EvidenceBook } from './evidence.ts'
import { Judged } from './judged.ts'

interface Sample {
  readonly atMs: number
  readonly comparisons: number
  readonly labels: number
  readonly requests: number
}

export interface Rates {
  readonly comparisons: number
  readonly labels: number
  readonly requests: number
}

const RATE_WINDOW_MS = 60_000
const SAMPLE_EVERY_MS = 1_000
const STORE_FAILS = 'the state store fails, so evidence cannot be kept and nothing is promoted'
const STORE_MISSING = 'a working state store'

export class Verdicts {
  readonly #book: EvidenceBook
  readonly #judged = new Judged()
  readonly #samples = new Map<string, Sample[]>()

  constructor(book: EvidenceBook) {
    this.#book = book
  }

  /**
   * The verdict on the evidence of this moment; undefined: it gathers none.
   * @param storeOk false: what the gate sees may be lost with the process, so nothing is promoted on it
   * @param next the policy of a save that is being held against what serves: the worse verdict of the two counts
   * @throws STATE_FAILED when the evidence cannot be read
   */
  now(
    config: RoutesFile,
    route: string,
    version: string,
    storeOk: boolean,
    next: Policy | undefined = undefined,
  ): Verdict | undefined {
    const policy = config.routes[route]
    const evidence = this.#book.evidence(route, version)
    if (policy === undefined || evidence === undefined) return undefined
    const present = this.judge(evidence, policy)
    const verdict = next === undefined ? present : worse(present, this.judge(evidence, next))
    if (storeOk || verdict.decision !== 'promote') return verdict
    return { ...verdict, decision: 'hold', reason: STORE_FAILS, missing: [STORE_MISSING] }
  }

  /** The verdict on evidence of the book, judged once as long as it does not change. */
  judge(evidence: Evidence, policy: Policy): Verdict {
    return this.#judged.judge(evidence, policy)
  }

  /** Takes a sample for the rates; call it a few times a second. */
  sample(route: string, version: string, nowMs: number): void {
    const key = `${route}/${version}`
    const samples = this.#samples.get(key) ?? []
    if (samples.length > 0 && nowMs - samples.at(-1)!.atMs < SAMPLE_EVERY_MS) return
    const total = this.#book.total(route, version)
    let labels = 0
    for (const [, amount] of binsOf(total, 'loss')) labels += amount
    const at = (slot: string) => total.get(slot) ?? 0
    samples.push({
      atMs: nowMs,
      comparisons: at(SLOT.match) + at(SLOT.mismatch),
      labels,
      requests: at(SLOT.armCandidate),
    })
    while (samples.length > 2 && nowMs - samples[0]!.atMs > RATE_WINDOW_MS) samples.shift()
    this.#samples.set(key, samples)
  }

  /** Forgets versions that are not among these, `route/version`. */
  keep(versions: ReadonlySet<string>): void {
    this.#judged.keep(versions)
    for (const key of this.#samples.keys()) if (!versions.has(key)) this.#samples.delete(key)
  }

  /** Observations a second over the last minute. */
  rates(route: string, version: string): Rates {
    const samples = this.#samples.get(`${route}/${version}`) ?? []
    const first = samples[0]
    const last = samples.at(-1)
    const seconds = first && last ? (last.atMs - first.atMs) / 1000 : 0
    if (!first || !last || seconds <= 0) return { comparisons: 0, labels: 0, requests: 0 }
    // A new evidence key starts at zero again.
    const rate = (name: keyof Rates) => Math.max(0, (last[name] - first[name]) / seconds)
    return { comparisons: rate('comparisons'), labels: rate('labels'), requests: rate('requests') }
  }
}

/** What is said of a candidate whose evidence cannot be read: nothing that would raise it. */
export function unreadable(route: string, candidate: string, baseline: string, step: number): Verdict {
  return {
    route,
    candidate,
    baseline,
    decision: 'hold',
    stage: step > 0 ? 'canary' : 'shadow',
    step,
    reason: STORE_FAILS,
    missing: [STORE_MISSING],
    metrics: [],
    guilty: [],
    exposure: { requests: 0, requestsNeeded: 0, elapsedMs: 0, neededMs: 0 },
    evidenceDigest: '',
  }
}

const FROM_WORST: readonly Decision[] = ['abort', 'invalid', 'hold', 'continue', 'promote']

function worse(a: Verdict, b: Verdict): Verdict {
  return FROM_WORST.indexOf(b.decision) < FROM_WORST.indexOf(a.decision) ? b : a
}
