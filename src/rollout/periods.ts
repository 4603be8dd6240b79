// Which period of which evidence key the observations of a candidate belong to. Pure; it counts nothing and judges nothing.
import { createHash } from 'node:crypto'
import { z } from 'zod'
import type { Route } from '../config/schema.ts'
import { shiftLimit } from '../evidence/scale.ts'
import { holdbackOf } from './holdback.ts'
import type { Resolution } from './lock.ts'

const Period = z.strictObject({
  /** Evidence key: the prefix of this period's counters. */
  key: z.string(),
  route: z.string(),
  version: z.string(),
  baselineVersion: z.string(),
  baselineDigest: z.string(),
  candidateDigest: z.string(),
  compareDigest: z.string(),
  /** What the evidence is about; periods of one attempt key add up, others never. */
  attemptKey: z.string(),
  /** k: this is the k-th attempt key of the candidate digest on this route, judged at α/(k(k+1)). */
  attempt: z.int().min(1),
  stage: z.enum(['shadow', 'canary']),
  /** The candidate's percent of live traffic; 0 in the shadow stage. */
  step: z.number(),
  /** Its share of the two arms, 0 to 1; 0 in the shadow stage. */
  share: z.number(),
  /** ms since the Unix epoch. */
  startedAt: z.number(),
  /** Set once a later period took its place or the candidate left. */
  endedAt: z.number().optional(),
  /** It is the previous live's holdback: counted as a canary is, judged never. */
  holdback: z.literal(true).optional(),
})

/** Everything about one route's periods; JSON for `StateStore.values`. */
export const RoutePeriods = z.strictObject({
  /** In time order. */
  periods: z.array(Period),
  /** By candidate digest: its attempt keys in the order they were first seen. */
  attempts: z.record(z.string(), z.array(z.string())),
  /** The gate's limits as last seen, and a digest that changes when one of them is loosened. */
  limits: z.record(z.string(), z.number()),
  loosened: z.string(),
})
export type RoutePeriods = z.infer<typeof RoutePeriods>
export type PeriodRecord = z.infer<typeof Period>

/** A route as it serves: after the lock, with digests. */
export interface AppliedRoute {
  readonly name: string
  readonly live: { readonly version: string; readonly digest: string; readonly weight: number }
  readonly candidates: readonly AppliedCandidate[]
  /** Of compare, labels and latency: see `compareDigest`. */
  readonly compareDigest: string
  /** Limits by name, the larger the looser: see `limitsOf`. */
  readonly limits: Readonly<Record<string, number>>
  /** Salt of the traffic split; kept as a hash only. */
  readonly salt: string
}

export interface AppliedCandidate {
  readonly version: string
  readonly digest: string
  readonly weight: number
  readonly mirrored: boolean
  /** How often its latch was cleared. */
  readonly cleared: number
  /** It is the holdback of the version that is live. */
  readonly holdback?: boolean
}

/**
 * The periods after a configuration was applied at `now` (ms). A candidate's period goes on as long as its stage, step,
 * share of the two arms, digest, baseline digest, compare digest and salt stay; else it ends and a new one starts.
 *
 * A new attempt key (fresh evidence, judged at α/(k(k+1))) comes with another baseline or compare digest, another salt, a
 * clearing, and with any loosened gate limit. GATE.md would subtract a stored snapshot there; starting a new key is the
 * conservative form of it: nothing from before counts, and the attempt has its price. Tightening keeps the key. A key
 * that comes back (live swapped there and back) has its old number and its old periods again. The same bytes under another
 * name gather evidence of their own, so that is an attempt too: renaming a version buys no fresh chance.
 */
export function nextPeriods(previous: RoutePeriods | undefined, route: AppliedRoute, now: number): RoutePeriods {
  const loosened = loosenedDigest(previous, route.limits)
  const attempts = { ...previous?.attempts }
  const periods = (previous?.periods ?? []).map(period => ({ ...period }))
  const open = new Set<PeriodRecord>()

  for (const candidate of route.candidates) {
    if (candidate.weight <= 0 && !candidate.mirrored) continue
    if (candidate.version === route.live.version) continue
    const about = [route.live.digest, route.compareDigest, digestOf(route.salt), loosened, candidate.cleared]
    const holdback = candidate.holdback === true && candidate.weight > 0
    const attemptKey = holdback ? digestOf([...about, 'holdback']) : ownKey(periods, candidate, about)
    const known = attempts[candidate.digest] ?? []
    if (!holdback && !known.includes(attemptKey)) attempts[candidate.digest] = [...known, attemptKey]
    // What nobody judges costs no attempt.
    const attempt = holdback ? 1 : attempts[candidate.digest]!.indexOf(attemptKey) + 1
    const canary = candidate.weight > 0
    const facts = {
      version: candidate.version,
      baselineVersion: route.live.version,
      baselineDigest: route.live.digest,
      candidateDigest: candidate.digest,
      compareDigest: route.compareDigest,
      attemptKey,
      attempt,
      stage: canary ? ('canary' as const) : ('shadow' as const),
      step: candidate.weight,
      share: canary ? candidate.weight / (candidate.weight + route.live.weight) : 0,
      ...(holdback ? { holdback: true as const } : {}),
    }
    const going = periods.find(period => period.endedAt === undefined && sameFacts(period, facts))
    if (going !== undefined) {
      open.add(going)
      continue
    }
    // The ordinal keeps two periods apart that stand at the same share at different times.
    const ordinal = periods.filter(period => period.candidateDigest === candidate.digest).length + 1
    // Padded, so that no key is the prefix of another.
    const key = `${route.name}/${candidate.digest.slice(0, 16)}/${attemptKey.slice(0, 16)}/${String(ordinal).padStart(6, '0')}`
    const period: PeriodRecord = { key, route: route.name, ...facts, startedAt: now }
    periods.push(period)
    open.add(period)
  }
  for (const period of periods) if (period.endedAt === undefined && !open.has(period)) period.endedAt = now
  return { periods, attempts, limits: { ...route.limits }, loosened }
}

/** The attempt key of a candidate: what it is about, and its name where these bytes were first tried under another one. */
function ownKey(
  periods: readonly PeriodRecord[],
  { version, digest }: AppliedCandidate,
  about: readonly unknown[],
): string {
  const key = digestOf(about)
  const first = periods.find(({ candidateDigest, attemptKey }) => candidateDigest === digest && attemptKey === key)
  return first === undefined || first.version === version ? key : digestOf([...about, version])
}

/** The periods that a version is judged on now, in time order; the last one is open. Empty: it gathers no evidence. */
export function currentPeriods(all: RoutePeriods, version: string): PeriodRecord[] {
  const open = all.periods.find(period => period.version === version && period.endedAt === undefined)
  if (open === undefined) return []
  return all.periods.filter(
    ({ candidateDigest, attemptKey, version: name }) =>
      name === version && candidateDigest === open.candidateDigest && attemptKey === open.attemptKey,
  )
}

/** When the present step began, ms: a change of the other arms' shares alone does not begin a new step. */
export function stepStartedAt(periods: readonly PeriodRecord[]): number | undefined {
  const last = periods.at(-1)
  if (last === undefined) return undefined
  let startedAt = last.startedAt
  for (let at = periods.length - 2; at >= 0; at--) {
    const { stage, step, startedAt: earlier, endedAt } = periods[at]!
    if (stage !== last.stage || step !== last.step || endedAt !== periods[at + 1]!.startedAt) break
    startedAt = earlier
  }
  return startedAt
}

/** The route as the lock has resolved it. Versions that do not load are no candidates. Undefined: live does not load. */
export function appliedRoute(
  name: string,
  route: Route,
  resolution: Resolution,
  digests: Readonly<Record<string, string | undefined>>,
  salt: string,
): AppliedRoute | undefined {
  const digest = digests[resolution.live]
  if (digest === undefined) return undefined
  const heldBack = holdbackOf(route, resolution.state, resolution.weights, digests)?.version
  const candidates = Object.entries(route.versions).flatMap(([version, { shadow }]) => {
    const own = digests[version]
    if (version === resolution.live || own === undefined) return []
    return {
      version,
      digest: own,
      weight: resolution.weights[version] ?? 0,
      mirrored: shadow.percent > 0,
      cleared: resolution.state.clears[own] ?? 0,
      ...(version === heldBack ? { holdback: true } : {}),
    }
  })
  return {
    name,
    live: { version: resolution.live, digest, weight: resolution.weights[resolution.live] ?? 0 },
    candidates,
    compareDigest: compareDigest(route),
    limits: limitsOf(route),
    salt,
  }
}

/**
 * sha256 over what decides how an observation is counted: compared outputs, kinds and tolerances, loss and clip, `expect`,
 * the latency ratios and slack (exceedances are counted with them, so a changed ratio cannot be read back), the scale of
 * signed differences (`gate.difference`, else the tolerance), the length of blocks, and whose labels count: where the
 * answer changes the outcome each arm's own do, and for them `within` says how long a request is due. Renamed tensors too:
 * under another name another value is compared; which outputs a version answers with; and where versions are traced, what is read from which spans.
 * Segments are not in it: they are counted beside the whole, from their first sight on.
 */
export function compareDigest(
  route: Pick<Route, 'compare' | 'labels' | 'expect' | 'gate' | 'versions'> & Partial<Pick<Route, 'spans'>>,
): string {
  const { output, kind, tolerance } = route.compare
  const renames = Object.entries(route.versions).filter(
    ([, { rename, answers }]) => rename !== undefined || answers !== undefined,
  )
  return digestOf({
    outputs: Array.isArray(output) ? output : [{ output, kind, tolerance }],
    labels: route.labels === undefined ? undefined : labelCounting(route.labels),
    expect: route.expect,
    latency: route.gate.latency,
    difference: route.gate.difference,
    blocks: route.gate.blocks,
    renames:
      renames.length === 0
        ? undefined
        : Object.fromEntries(renames.map(([version, { rename, answers }]) => [version, { ...rename, answers }])),
    spans: route.spans === undefined ? undefined : { ...route.spans, within: undefined, request: undefined },
  })
}

// What is undefined leaves the digest as it was, so that a setting which is not used costs nobody an attempt.
function labelCounting({ loss, clip, affectedByAnswer, within }: NonNullable<Route['labels']>): object {
  return { loss, clip, ...(affectedByAnswer ? { affectedByAnswer, within } : {}) }
}

/** The limits that the evidence is held against, turned so that larger is looser. */
export function limitsOf({ expect, gate, labels }: Pick<Route, 'expect' | 'gate' | 'labels'>): Record<string, number> {
  return {
    disagreement: gate.disagreement,
    errorRatio: gate.errors.ratio,
    errorFloor: gate.errors.floor,
    drops: gate.drops,
    distribution: shiftLimit({ expect, gate }) ?? 1,
    ...(gate.difference === undefined ? {} : { difference: gate.difference }),
    margin: labels?.margin ?? 0,
    // Labels that the answer does not touch are evidence in the shadow stage too.
    labelsCount: labels !== undefined && !labels.affectedByAnswer ? 1 : 0,
    exposureRequests: -gate.exposure.requests,
    exposureFor: -gate.exposure.for,
  }
}

function loosenedDigest(previous: RoutePeriods | undefined, limits: Readonly<Record<string, number>>): string {
  if (previous === undefined) return ''
  const isLooser = Object.entries(limits).some(
    ([name, limit]) => limit > (previous.limits[name] ?? Number.NEGATIVE_INFINITY),
  )
  return isLooser ? digestOf([previous.loosened, limits]) : previous.loosened
}

function sameFacts(period: PeriodRecord, facts: Partial<PeriodRecord>): boolean {
  return Object.entries(facts).every(([name, value]) => period[name as keyof PeriodRecord] === value)
}

function digestOf(value: unknown): string {
  return createHash('sha256')
    .update(JSON.stringify(canonical(value)))
    .digest('hex')
}

/** Keys sorted and absent ones left out, so that equal settings have one text. */
function canonical(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(inner => (inner === undefined ? null : canonical(inner)))
  if (value === null || typeof value !== 'object') return value
  const entries = Object.entries(value).filter(([, inner]) => inner !== undefined)
  return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, inner]) => [key, canonical(inner)]))
}
