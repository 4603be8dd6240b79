// Decides which requests are sampled for a second look: mirrored, paired, or held against another arm. Counts nothing.
import { sampled } from '../routing/assign.ts'
import type { RuntimeRoute, RuntimeVersion } from './runtime.ts'

/**
 * One bit per version index. All sampling is keyed apart from assignment, and by an id that the server made: a client that
 * sends one request id for ever would otherwise be mirrored always or never.
 */
export function mirroredTo(route: RuntimeRoute, serverId: string): number {
  const { mirrored, salts } = route.snapshot
  if (!mirrored) return 0
  let candidates = 0
  for (const { index, snapshot } of route.candidates) {
    if (sampled(salts.mirror, serverId, snapshot.shadow.percent)) candidates |= 1 << index
  }
  return candidates >>> 0
}

/** Whether live is to score a canary's request too. */
export function isPaired({ snapshot }: RuntimeRoute, serverId: string): boolean {
  return snapshot.mirrored && sampled(snapshot.salts.mirror, `paired\0${serverId}`, snapshot.paired)
}

/**
 * The cohorts that an assigned request belongs to, one bit a candidate: of a canary's request its own, of live's the
 * controls. Both are equally large by expectation, whatever the weights, so under the null neither has more errors. A sticky
 * unit is always in the same ones.
 */
export function cohortsOf(
  route: RuntimeRoute,
  { version, unit }: { readonly version: RuntimeVersion; readonly unit: string | undefined },
  serverId: string,
): number {
  let cohorts = 0
  for (const cohort of route.cohorts) {
    const isOwn = version.index === cohort.index
    if (!isOwn && version !== route.live) continue
    const percent = isOwn ? cohort.own : cohort.control
    if (isOwn && percent >= 100) continue
    const key = `cohort\0${cohort.version}\0${unit ?? serverId}`
    if (sampled(route.snapshot.salts.mirror, key, percent)) cohorts |= 1 << cohort.index
  }
  return cohorts
}
