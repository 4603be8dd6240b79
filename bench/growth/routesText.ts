// Writes routes files of any number of routes. Pure.

export const EDITED = 'edited'
export const CANARY = '1.1.0'

export interface RoutesText {
  readonly routes: number
  /** Addresses of the model server, for every route's live version. */
  readonly url: string
  /** Percent of the canary of one more route, `edited`, that a reload changes; undefined: there is no such route. */
  readonly canary?: number
}

/** Routes `m0`, `m1`, …, each with one HTTP version that takes everything. */
export function routesText({ routes, url, canary }: RoutesText): string {
  const live = (weight: number) => `      1.0.0: { url: "${url}", weight: ${weight} }\n`
  const route = (name: string, versions: string) => `  ${name}:\n    live: 1.0.0\n    versions:\n${versions}`
  const names = Array.from({ length: routes }, (_, index) => `m${index}`)
  const edited =
    canary === undefined
      ? ''
      : route(EDITED, `${live(100 - canary)}      ${CANARY}: { url: "${url}", weight: ${canary} }\n`)
  const head = 'drain: { delay: 0s, deadline: 5s }\ntraces: { ratio: 0 }\nroutes:\n'
  return `${head}${names.map(name => route(name, live(100))).join('')}${edited}`
}

/** The prediction paths of the first `count` routes. */
export function inferPaths(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `/v2/models/m${index}/infer`)
}

/** The list begun at a random place: windows then do not all ask the same first routes. */
export function rotated<T>(values: readonly T[], random: () => number): T[] {
  const at = Math.floor(random() * values.length)
  return [...values.slice(at), ...values.slice(0, at)]
}
