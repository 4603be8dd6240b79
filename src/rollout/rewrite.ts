// routes.yaml after a rollback: its text and configuration, and writing it, also where that fails or somebody has edited it.
import { editRoute, type RouteChanges } from '../config/edit.ts'
import { hashBytes, type LoadedRoutes, parseEntry } from '../config/load.ts'
import type { Route, RoutesFile } from '../config/schema.ts'
import { messageOf } from '../errors.ts'
import { differing } from './changes.ts'
import type { RolloutPorts } from './ports.ts'
import { readHash } from './promote.ts'
import { parseText } from './reload.ts'

/** What serves before it; `route` with live put back where the file has dropped it. */
interface Served {
  readonly loaded: LoadedRoutes
  readonly route: Route
}

/**
 * The text and the configuration that these changes make. Where the text cannot be edited, or would not load (what was put
 * back contradicts a key that came later), the configuration has them all the same and the text stays as it is: the state
 * holds it then.
 */
export function afterwards(
  ports: RolloutPorts,
  name: string,
  { loaded, route }: Served,
  changes: RouteChanges | undefined,
): { after: string; config: RoutesFile; problem?: string } {
  if (changes === undefined) return { after: loaded.text, config: parseText(ports, loaded.text) }
  try {
    const after = editRoute(loaded.text, name, differing(route, loaded.text, name, changes))
    return { after, config: parseText(ports, after) }
  } catch (error) {
    const put = Object.entries(changes.entries ?? {}).map(
      ([version, text]) => [version, parseEntry(text, ports.fileName, ports.env)] as const,
    )
    const versions = Object.fromEntries(
      Object.entries({ ...route.versions, ...Object.fromEntries(put) }).map(([version, entry]) => [
        version,
        { ...entry, weight: changes.weights?.[version] ?? entry.weight },
      ]),
    )
    const config = parseText(ports, loaded.text)
    const wanted = { ...route, live: changes.live ?? route.live, versions }
    return {
      after: loaded.text,
      config: { ...config, routes: { ...config.routes, [name]: wanted } },
      problem: `traffic is rolled back, but ${ports.fileName} could not be edited (${messageOf(error)})`,
    }
  }
}

/** Writes the file; where somebody has edited it meanwhile, only our keys of what is there. Says the hash on disk then. */
export function writeFile(
  ports: RolloutPorts,
  name: string,
  { loaded }: Served,
  changes: RouteChanges,
  after: string,
): { hash: string | undefined; problem?: string } {
  try {
    const text = ports.readFile()
    const edited = text === loaded.text ? after : editedElsewhere(ports, name, text, changes)
    if (edited !== text) ports.writeFile(edited)
    return { hash: hashBytes(edited) }
  } catch (error) {
    const why = (error as NodeJS.ErrnoException).code ?? messageOf(error)
    return {
      hash: readHash(ports),
      problem: `traffic is rolled back, but ${ports.fileName} could not be written (${why})`,
    }
  }
}

function editedElsewhere(ports: RolloutPorts, name: string, text: string, changes: RouteChanges): string {
  const route = parseText(ports, text).routes[name]
  if (route === undefined) return text
  const edited = editRoute(text, name, differing(route, text, name, changes))
  parseText(ports, edited)
  return edited
}
