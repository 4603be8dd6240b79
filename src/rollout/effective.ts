// Puts live back into a route whose file has dropped it, from the entry on record. Decides nothing.
import { parseEntry } from '../config/load.ts'
import type { Route } from '../config/schema.ts'
import type { RouteState } from './state.ts'

/** The file's route and, where the file has dropped the version that is live, that version from its recorded entry. */
export function withRecordedLive(
  route: Route,
  state: RouteState | null,
  fileName: string,
  env?: Readonly<Record<string, string | undefined>>,
): Route {
  const live = state?.live
  if (live?.entry === undefined || live.version in route.versions) return route
  const entry = { ...parseEntry(live.entry, fileName, env), weight: 0 }
  return { ...route, versions: { ...route.versions, [live.version]: entry } }
}
