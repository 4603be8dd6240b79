// Changes single keys of routes.yaml in its text: comments, quotes, layout and line endings stay. Pure.
import { isDeepStrictEqual } from 'node:util'
import { createTwoFilesPatch } from 'diff'
import {
  Document,
  isAlias,
  isCollection,
  isMap,
  isPair,
  isScalar,
  type Pair,
  parseDocument,
  visit,
  type YAMLMap,
} from 'yaml'
import { UnderstudyError } from '../errors.ts'
import { duplicateKeys } from './duplicates.ts'

/** What to change of one route. A version that `weights` names must be in the file or in `entries`. */
export interface RouteChanges {
  readonly live?: string
  /** Percent by version. */
  readonly weights?: Readonly<Record<string, number>>
  /** YAML text of a whole version entry, as `entryText` gives it; put in where the version is missing, else in its place. */
  readonly entries?: Readonly<Record<string, string>>
}

/**
 * The text with only these keys changed, by splicing at each node's range: `String(document)` would lay out anew what it
 * did not change. The result is parsed again and must be the old configuration with exactly these changes.
 * @throws BAD_CONFIGURATION when the text is not YAML, CONFLICT when the change cannot be made without touching other keys.
 */
export function editRoute(text: string, route: string, changes: RouteChanges): string {
  const intended = withChanges(parse(text).toJS({ maxAliasCount: 1000 }), route, changes)
  let edited = text
  for (const [version, entry] of Object.entries(changes.entries ?? {})) edited = putEntry(edited, route, version, entry)
  if (changes.live !== undefined) edited = putScalar(edited, routeMap(edited, route), 'live', changes.live)
  for (const [version, weight] of Object.entries(changes.weights ?? {}))
    edited = putScalar(edited, mapAt(versionsMap(edited, route), version), 'weight', weight)
  if (!isDeepStrictEqual(parse(edited).toJS({ maxAliasCount: 1000 }), intended))
    throw new UnderstudyError(
      'CONFLICT',
      `routes.${route} cannot be edited without touching other keys: edit it by hand`,
    )
  return edited
}

/**
 * The YAML text of a version's entry, without the indentation it stands at, so that it can be put back later. An entry
 * that uses anchors is written out as a flow map. Undefined: no such version.
 */
export function entryText(text: string, route: string, version: string): string | undefined {
  return entryReader(text)(route, version)
}

/** Reads the entries of one text as `entryText` does: with thousands of routes the text must not be parsed for each. */
export type EntryReader = (route: string, version: string) => string | undefined

export function entryReader(text: string): EntryReader {
  // When the first entry is asked for: a file without routes has none.
  let read: { readonly document: Document.Parsed; readonly routes: ReadonlyMap<string, Pair> } | undefined
  let file: { routes?: Record<string, { versions?: Record<string, unknown> }> } | undefined
  return (route, version) => {
    read ??= routesOf(parse(text))
    const { document, routes } = read
    const resolved = () => {
      file ??= document.toJS({ maxAliasCount: 1000 })
      return file?.routes?.[route]?.versions?.[version]
    }
    const pair = pairOf(mapAt(mapOf(routes.get(route), route), 'versions'), version)
    if (pair === undefined || !isCollection(pair.value)) {
      const value = pair === undefined ? undefined : document.getIn(['routes', route, 'versions', version])
      if (isMap(value)) return flow(value.toJSON())
      return isAlias(pair?.value) ? flow(resolved()) : undefined
    }
    const [start, end] = pair.value.range!
    if (usesAnchors(pair.value)) return flow(resolved())
    const indent = columnOf(text, start)
    const lines = text.slice(start, end).trimEnd().split(/\r?\n/)
    return lines.map((line, index) => (index === 0 ? line : line.replace(new RegExp(`^ {0,${indent}}`), ''))).join('\n')
  }
}

function routesOf(document: Document.Parsed) {
  return { document, routes: pairsByKey(mapAt(document.contents as YAMLMap, 'routes')) }
}

/** Whether two entries' texts say the same, their weights apart. */
export function sameEntry(a: string, b: string): boolean {
  const [first, second] = [a, b].map(entry => ({ ...(parse(entry).toJS() as object), weight: 0 }))
  return isDeepStrictEqual(first, second)
}

/** A unified diff, empty when nothing differs. */
export function diffText(before: string, after: string, fileName = 'routes.yaml'): string {
  if (before === after) return ''
  const patch = createTwoFilesPatch(fileName, fileName, before, after, undefined, undefined, { context: 3 })
  return patch.replace(/^=+\n/, '').replaceAll('\t\n', '\n')
}

const TWICE = 'a key stands twice in one map'

function parse(text: string): Document.Parsed {
  const document = parseDocument(text, { version: '1.2', schema: 'core', uniqueKeys: false, prettyErrors: false })
  const error = document.errors[0]?.message ?? (duplicateKeys(document.contents).length > 0 ? TWICE : undefined)
  if (error !== undefined) throw new UnderstudyError('BAD_CONFIGURATION', `routes.yaml is not YAML: ${error}`)
  return document
}

function routeMap(text: string, route: string): YAMLMap {
  return mapAt(mapAt(parse(text).contents as YAMLMap, 'routes'), route)
}

function versionsMap(text: string, route: string): YAMLMap {
  return mapAt(routeMap(text, route), 'versions')
}

function mapAt(map: YAMLMap, key: string): YAMLMap {
  return mapOf(isMap(map) ? pairOf(map, key) : undefined, key)
}

function mapOf(pair: Pair | undefined, key: string): YAMLMap {
  const value = pair?.value
  if (isMap(value)) return value
  if (isAlias(value)) throw new UnderstudyError('CONFLICT', `\`${key}\` is an alias in routes.yaml: edit it by hand`)
  throw new UnderstudyError('CONFLICT', `routes.yaml has no \`${key}\` to edit`)
}

function pairOf(map: YAMLMap, key: string): Pair | undefined {
  return map.items.find(({ key: node }) => isScalar(node) && (node.value === key || node.source === key))
}

/** What {@link pairOf} finds, for every key. */
function pairsByKey(map: YAMLMap): ReadonlyMap<string, Pair> {
  const pairs = new Map<string, Pair>()
  for (const pair of map.items) {
    if (!isScalar(pair.key)) continue
    for (const key of [pair.key.value, pair.key.source])
      if (typeof key === 'string' && !pairs.has(key)) pairs.set(key, pair)
  }
  return pairs
}

function putScalar(text: string, map: YAMLMap, key: string, value: string | number): string {
  const pair = pairOf(map, key)
  const node = pair?.value
  if (pair === undefined) return insertPair(text, map, `${key}: ${value}`)
  if (isScalar(node) && node.value === value) return text
  if (!isScalar(node) && !isAlias(node))
    throw new UnderstudyError('CONFLICT', `\`${key}\` is not a single value: edit it by hand`)
  const [start, end] = node.range!
  const quote = typeof value === 'string' ? quoteOf(text, start) : ''
  // `weight:` with nothing behind it has an empty range right at the colon.
  const space = start === end && !/\s/.test(text[start - 1] ?? ' ') ? ' ' : ''
  return splice(text, start, end, `${space}${quote}${value}${quote}`)
}

function quoteOf(text: string, at: number): string {
  return text[at] === '"' || text[at] === "'" ? text[at] : ''
}

function putEntry(text: string, route: string, version: string, entry: string): string {
  const versions = versionsMap(text, route)
  const pair = pairOf(versions, version)
  const eol = eolOf(text)
  const isFlow = /^\{/.test(entry)
  if (pair === undefined) {
    if (versions.flow) return insertPair(text, versions, `${version}: ${isFlow ? entry : flow(parse(entry).toJS())}`)
    if (isFlow) return insertPair(text, versions, `${version}: ${entry}`)
    const indent = columnOf(text, firstKey(versions))
    return insertPair(text, versions, `${version}:${eol}${' '.repeat(indent + 2)}${indented(entry, indent + 2, eol)}`)
  }
  const value = pair.value
  if (!isMap(value) && !isAlias(value))
    throw new UnderstudyError('CONFLICT', `versions.${version} is not a map: edit it by hand`)
  const [start, end] = value.range!
  if (isDeepStrictEqual(resolved(text, route, version), parse(entry).toJS())) return text
  if (isAlias(value) || value.flow || isFlow) {
    const tail = isMap(value) && !value.flow ? trailing(text, start, end) : ''
    return splice(text, start, end, `${isFlow ? entry : flow(parse(entry).toJS())}${tail}`)
  }
  return splice(text, start, end, `${indented(entry, columnOf(text, start), eol)}${trailing(text, start, end)}`)
}

/** White space and line ends that a block collection's range has at its end. */
function trailing(text: string, start: number, end: number): string {
  const source = text.slice(start, end)
  return source.slice(source.trimEnd().length)
}

/** Puts a pair at the end of a map: behind its last line where that is plain to see, else before its first key. */
function insertPair(text: string, map: YAMLMap, pair: string): string {
  const last = map.items.at(-1)
  if (map.flow) {
    const [start, end] = map.range!
    if (last === undefined) return splice(text, start, end, `{ ${pair} }`)
    return splice(text, lastEnd(last), lastEnd(last), `, ${pair}`)
  }
  const first = firstKey(map)
  const eol = eolOf(text)
  const indent = ' '.repeat(columnOf(text, first))
  const end = lastLineEnd(text, last!)
  if (end !== undefined) return splice(text, end, end, `${eol}${indent}${pair}`)
  return splice(text, first, first, `${pair}${eol}${indent}`)
}

/** Offset of a block map's first key; a block map has one, or it would not be there. */
function firstKey(map: YAMLMap): number {
  return (map.items[0]!.key as { range: readonly [number, number, number] }).range[0]
}

/** The end of the line that a pair ends on; undefined where only the parser knows (block scalars, empty values). */
function lastLineEnd(text: string, pair: Pair): number | undefined {
  let node: unknown = pair
  while (true) {
    if (isPair(node)) node = node.value
    else if (isCollection(node) && !node.flow && node.items.length > 0) node = node.items.at(-1)
    else break
  }
  const isBlockScalar = isScalar(node) && (node.type === 'BLOCK_LITERAL' || node.type === 'BLOCK_FOLDED')
  const range = (node as { range?: readonly [number, number, number] } | null)?.range
  if (range === undefined || range[0] === range[1] || isBlockScalar) return undefined
  const newline = text.indexOf('\n', range[1])
  if (newline === -1) return text.length
  return text[newline - 1] === '\r' ? newline - 1 : newline
}

function lastEnd(pair: Pair): number {
  const node = (pair.value ?? pair.key) as { range: readonly [number, number, number] }
  const key = pair.key as { range: readonly [number, number, number] }
  return Math.max(node.range[1], key.range[1])
}

function withChanges(file: unknown, route: string, changes: RouteChanges): unknown {
  const copy = structuredClone(file) as {
    routes?: Record<string, { live?: unknown; versions?: Record<string, unknown> }>
  }
  const target = copy?.routes?.[route]
  if (target?.versions === undefined)
    throw new UnderstudyError('CONFLICT', `routes.yaml has no route ${route} with versions`)
  if (changes.live !== undefined) target.live = changes.live
  for (const [version, entry] of Object.entries(changes.entries ?? {})) target.versions[version] = parse(entry).toJS()
  for (const [version, weight] of Object.entries(changes.weights ?? {})) {
    const entry = target.versions[version]
    if (entry === null || typeof entry !== 'object')
      throw new UnderstudyError('CONFLICT', `routes.${route} has no version ${version}`)
    // Anchored entries are one object in the parsed value; a change must not show through the aliases.
    target.versions[version] = { ...entry, weight }
  }
  return copy
}

function resolved(text: string, route: string, version: string): unknown {
  return parse(text).toJS({ maxAliasCount: 1000 })?.routes?.[route]?.versions?.[version]
}

function usesAnchors(node: unknown): boolean {
  let found = false
  visit(node as never, {
    Alias: () => {
      found = true
    },
    Node: (_, inner) => {
      if ((inner as { anchor?: string }).anchor !== undefined) found = true
    },
  })
  return found
}

function flow(value: unknown): string {
  return new Document(value, { version: '1.2', schema: 'core' })
    .toString({ collectionStyle: 'flow', lineWidth: 0 })
    .trimEnd()
}

function indented(entry: string, indent: number, eol: string): string {
  return entry
    .split(/\r?\n/)
    .map((line, index) => (index === 0 || line === '' ? line : ' '.repeat(indent) + line))
    .join(eol)
}

function columnOf(text: string, offset: number): number {
  const column = offset - (text.lastIndexOf('\n', offset - 1) + 1)
  return column - (text.startsWith('\uFEFF') && text.lastIndexOf('\n', offset - 1) === -1 ? 1 : 0)
}

function eolOf(text: string): string {
  return text.includes('\r\n') ? '\r\n' : '\n'
}

function splice(text: string, start: number, end: number, inserted: string): string {
  return text.slice(0, start) + inserted + text.slice(end)
}
