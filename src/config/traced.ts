// Routes whose traffic is served elsewhere and known by spans only: what follows for their other keys, and what may not stand there. Pure.
import type { Fault } from './problems.ts'
import { type Route, type RoutesFile, Spans } from './schema.ts'

type Raw = Readonly<Record<string, unknown>>
type Report = (path: (string | number)[], what: Fault['what'], message: string) => void

/** Whether the gateway knows this route's traffic by spans and answers none of it. All of its versions are alike in that. */
export function isServedElsewhere({ versions }: Pick<Route, 'versions'>): boolean {
  return Object.values(versions).some(({ traced }) => traced !== undefined)
}

/**
 * The configuration with every default that depends on `traced` filled in. A version that is served elsewhere is judged by
 * pairs alone, since nobody here sees which answer a client got: there is one step, from none to all, and no share of
 * traffic for versions without evidence.
 */
export function withTraced(config: RoutesFile): RoutesFile {
  const routes = Object.entries(config.routes).map(([name, route]) => [name, ofRoute(route)] as const)
  return routes.every(([name, route]) => route === config.routes[name])
    ? config
    : { ...config, routes: Object.fromEntries(routes) }
}

function ofRoute(route: Route): Route {
  if (!isServedElsewhere(route)) return route
  const { gate, rollout, spans } = route
  return {
    ...route,
    spans: spans ?? Spans.parse({}),
    gate: { ...gate, unproven: 0, paired: 0 },
    rollout: { ...rollout, steps: [100] },
  }
}

/** Attributes that hold the answer. */
export function outputsOf({ output }: Pick<Spans, 'output'>): readonly string[] {
  return Array.isArray(output) ? output : [output]
}

/** What spans call a version. */
export function spanNameOf(version: string, traced: true | string): string {
  return traced === true ? version : traced
}

const NOT_ASKED = [
  'protocol',
  'rename',
  'answers',
  'model',
  'connect',
  'firstByte',
  'deadline',
  'mirrorable',
  'repeatable',
]

export function checkTraced(route: Raw, at: Report): void {
  const versions = isMap(route.versions)
    ? Object.entries(route.versions).filter((pair): pair is [string, Raw] => isMap(pair[1]))
    : []
  if (!versions.some(([, { traced }]) => traced !== undefined)) {
    if (route.spans !== undefined) at(['spans'], 'key', '`spans` is for routes whose versions are `traced`')
    return
  }
  const names = new Set<string>()
  for (const [version, entry] of versions) {
    checkVersion(version, entry, route, at)
    const { traced } = entry
    if (traced !== true && typeof traced !== 'string') continue
    const name = spanNameOf(version, traced)
    if (names.has(name))
      at(['versions', version, 'traced'], 'value', `expected a name of its own, got ${name} a second time`)
    names.add(name)
  }
  for (const [path, isWrong, message] of NOT_HERE) {
    const value = path.reduce<unknown>((inner, key) => (isMap(inner) ? inner[key] : undefined), route)
    if (value !== undefined && isWrong(value)) at([...path], 'key', message)
  }
  checkOutputs(route, at)
}

function checkVersion(version: string, entry: Raw, route: Raw, at: Report): void {
  const here = ['versions', version]
  const { traced, identity, shadow, weight } = entry
  if (traced === undefined) {
    at(
      here,
      'key',
      'expected `traced` as at the other versions: what is answered here and elsewhere is in no common trace',
    )
    return
  }
  for (const key of NOT_ASKED)
    if (key in entry) at([...here, key], 'key', `\`${key}\` is for versions that the gateway asks, not for traced ones`)
  if (isMap(identity) && identity.literal === undefined)
    at([...here, 'identity'], 'value', 'expected `{ literal }`: a version that is served elsewhere is never asked')
  if (isMap(route.spans) && route.spans.digest !== undefined && identity === undefined)
    at(here, 'key', 'expected `identity: { literal }` beside `spans.digest`, which must hold it')
  if (isMap(shadow)) at([...here, 'shadow'], 'value', 'expected a percentage: nothing is sent to a traced version')
  if (typeof weight === 'number' && weight > 0 && version !== route.live)
    at(
      [...here, 'weight'],
      'value',
      'expected `shadow` instead: which answer a client got is not seen here, so a traced version is judged by its pairs, and then live',
    )
}

const isAbove0 = (value: unknown) => typeof value === 'number' && value > 0
const isThere = () => true
const UNSEEN = 'it is not seen here which answer a client got'

/** Keys of a route that would promise what cannot be kept. */
const NOT_HERE: readonly (readonly [path: readonly string[], isWrong: (value: unknown) => boolean, message: string])[] =
  [
    [['sticky'], isThere, '`sticky` is for routes that the gateway serves, not for traced versions'],
    [['path'], isThere, '`path` is for routes that the gateway serves, not for traced versions'],
    [['force'], isThere, '`force` is for routes that the gateway serves, not for traced versions'],
    [['compare', 'again'], isAbove0, 'expected no `again` beside traced versions, which nobody asks a second time'],
    [['gate', 'paired'], isAbove0, 'expected no `paired` beside traced versions: every trace is a pair'],
    [['gate', 'unproven'], isAbove0, `expected no \`unproven\` share beside traced versions: ${UNSEEN}`],
    [['gate', 'blocks'], isThere, `expected no \`blocks\` beside traced versions: ${UNSEEN}`],
    [
      ['labels', 'affectedByAnswer'],
      value => value === true,
      `expected no \`affectedByAnswer\` beside traced versions: ${UNSEEN}`,
    ],
    [['rollout', 'holdback'], isAbove0, `expected no \`holdback\` beside traced versions: ${UNSEEN}`],
    [
      ['rollout', 'steps'],
      value => !(Array.isArray(value) && value.length === 1 && value[0] === 100),
      `expected steps [100] beside traced versions: ${UNSEEN}, so a version goes from its pairs to live`,
    ],
  ]

/** What is compared stands in one of the attributes that are read. */
function checkOutputs(route: Raw, at: Report): void {
  const spans = Spans.safeParse(route.spans ?? {})
  if (!spans.success || !isMap(route.compare)) return
  const read = outputsOf(spans.data)
  const { output } = route.compare
  const compared: readonly (readonly [(string | number)[], unknown])[] = Array.isArray(output)
    ? output.map((each, index) => [['compare', 'output', index, 'output'], isMap(each) ? each.output : undefined])
    : [[['compare', 'output'], output]]
  for (const [path, named] of compared) {
    if (typeof named !== 'string' || named === '') continue
    const attribute = named.startsWith('/')
      ? named.slice(1).split('/')[0]!.replaceAll('~1', '/').replaceAll('~0', '~')
      : named
    if (!read.includes(attribute))
      at(
        path,
        'value',
        `expected an attribute of \`spans.output\` (${read.join(', ')}), or a JSON pointer into one, got ${named}`,
      )
  }
}

function isMap(value: unknown): value is Raw {
  return value !== null && typeof value === 'object' && !Array.isArray(value)
}
