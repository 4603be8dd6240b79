// What a snapshot of a route is made from, where a test cares about its versions and their keys alone.
import type { Route } from '../../src/config/schema.ts'
import type { RouteParts } from '../../src/control/snapshot.ts'
import type { Resolution } from '../../src/rollout/lock.ts'

/** Live takes everything; `keys` are the evidence keys of candidates. */
export function routeParts(
  name: string,
  route: Route,
  { known, keys }: Pick<RouteParts, 'known' | 'keys'>,
): RouteParts {
  return {
    name,
    route,
    // What of a resolution a snapshot is made from.
    resolution: { live: route.live, weights: { [route.live]: 100 } } as unknown as Resolution,
    known,
    keys,
    periodOf: () => undefined,
    segmentsOf: () => [],
    classesOf: () => [],
    isNoisy: () => false,
    salts: { split: 'a', mirror: 'b', count: 'c' },
    seenUnits: undefined,
    mirrored: true,
  }
}
