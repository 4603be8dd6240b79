// What an address asks for, and which route answers there. Remembered, since the same few are asked all the time.
import { type Asked, askedAt, ownProtocol } from './path.ts'
import { INVOCATIONS, type Runtime, type RuntimeRoute } from './runtime.ts'

/** Where a prediction is asked for, and of whom. */
export interface Addressed {
  readonly asked: Asked
  /** Undefined: there is no such route. */
  readonly route: RuntimeRoute | undefined
}

/** The prediction that a POST asks for, at a path that every gateway has or at one that a route has of its own. */
export function addressedAt(url: string, { routes, paths }: Pick<Runtime, 'routes' | 'paths'>): Addressed | undefined {
  const asked = askedAt(url)
  if (asked !== undefined) return { asked, route: routes.get(asked.model) }
  const mark = url.indexOf('?')
  const path = mark < 0 ? url : url.slice(0, mark)
  const route = paths.get(path)
  // MLflow's path is one of every gateway; which model answers there may have to be said.
  if (route === undefined && path !== INVOCATIONS) return undefined
  const protocol = ownProtocol(path, route?.snapshot.versions.map(({ target }) => target) ?? [])
  return {
    asked: { protocol, model: undefined, version: undefined, path, query: url.slice(path.length), verb: 'infer' },
    route,
  }
}

/** Longer ones are not remembered, or it could be made to hold many megabytes: a name can be written in many ways. */
const LONGEST_KNOWN = 256

/**
 * Remembers what addresses ask for under one revision, so that they are not read again and their routes not looked for. Each has
 * two places; who stands where another belongs goes to its other one, and who stood there goes: with a single place each, ten
 * thousand would drive each other out of half of them. Not a Map: it looks a text that has just come up among all texts of the
 * thread first, and that costs as much as reading the address anew (measured).
 */
export class KnownAddresses {
  readonly #runtime: Pick<Runtime, 'routes' | 'paths'>
  readonly #places: ({ readonly url: string; readonly addressed: Addressed } | undefined)[]

  /** @param places a power of two, at least 2 */
  constructor(runtime: Pick<Runtime, 'routes' | 'paths'>, places = 65_536) {
    this.#runtime = runtime
    this.#places = new Array(places).fill(undefined)
  }

  /** As `addressedAt`. */
  at(url: string): Addressed | undefined {
    if (url.length > LONGEST_KNOWN) return addressedAt(url, this.#runtime)
    const places = this.#places
    const place = hashOf(url) & (places.length - 1)
    const known = places[place]
    if (known?.url === url) return known.addressed
    const other = places[place ^ 1]
    if (other?.url === url) return other.addressed
    const addressed = addressedAt(url, this.#runtime)
    if (addressed !== undefined && isOfOurs(addressed)) {
      if (known !== undefined) places[place ^ 1] = known
      places[place] = { url, addressed }
    }
    return addressed
  }
}

/** Whether its names are ours: strangers can make up no end of others. */
function isOfOurs({ asked: { version, query }, route }: Addressed): boolean {
  if (route === undefined || query !== '') return false
  return version === undefined || route.versions.some(({ snapshot }) => snapshot.version === version)
}

/** Not against strangers: those who find addresses of one place make the gateway read them, as it would without this. */
function hashOf(text: string): number {
  let hash = 0
  for (let index = 0; index < text.length; index++) hash = (Math.imul(hash, 31) + text.charCodeAt(index)) | 0
  // Or names that differ in a number only would come to a few of the places (murmur3's last steps).
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return hash ^ (hash >>> 16)
}
