// Reads YAML text into plain values and remembers where each of them stands. It knows nothing of routes or of zod.
import { readFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import {
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  type ParsedNode,
  parseDocument,
} from 'yaml'
import { duplicateKeys } from './duplicates.ts'

export type Path = readonly (string | number)[]

/** Something wrong at one place. Line and column count from 1; the column in UTF-16 units. */
export interface Problem {
  readonly offset: number
  readonly message: string
}

/** The value a YAML document stands for, where its nodes are, and what was wrong with it so far. */
export interface ReadDocument {
  readonly value: unknown
  /** Syntax errors, duplicate keys, tags, key types, unresolvable `${env:…}` and `${file:…}`. */
  readonly problems: readonly Problem[]
  /** The problems are such that the value is not worth checking further. */
  readonly fatal: boolean
  /** Offset of the value at `path`, or of its key; of the nearest ancestor's key when it is not there. */
  at(path: Path, what: 'key' | 'value'): number
  position(offset: number): { readonly line: number; readonly column: number }
}

// Ten thousand routes of ten versions come near these, and a bomb does no harm below them.
const MAX_TEXT = 16 * 1024 * 1024
const MAX_NODES = 1_000_000
const MAX_DEPTH = 64
// Aliases are expanded by copying, so a few nested ones grow without bound; and each is looked for in the whole document.
const MAX_COPIED = 100_000
const MAX_ALIASES = 200
const TOO_DEEP = `expected a document of at most ${MAX_DEPTH} levels`
const TOO_MANY = `expected a document of at most ${MAX_NODES} values`
const TOO_MANY_ALIASES = `expected at most ${MAX_ALIASES} aliases, which stand for ${MAX_COPIED} values at most`

/**
 * Reads one YAML 1.2 document. `${env:NAME}` and `${file:PATH}` (relative to the document's folder) are replaced where they
 * are a whole value, and what they hold is typed as YAML would type it: `5` is a number, `"5"` a string.
 */
export function readDocument(
  text: string,
  fileName: string,
  env: Readonly<Record<string, string | undefined>>,
): ReadDocument {
  const lineCounter = new LineCounter()
  const position = (offset: number) => {
    const { line, col } = lineCounter.linePos(offset)
    return { line: Math.max(1, line), column: Math.max(1, col) }
  }
  const failed = (message: string): ReadDocument => ({
    value: undefined,
    problems: [{ offset: 0, message }],
    fatal: true,
    at: () => 0,
    position: () => ({ line: 1, column: 1 }),
  })
  if (text.length > MAX_TEXT) return failed(`expected at most ${MAX_TEXT} characters, got ${text.length}`)

  let document: Document.Parsed<ParsedNode>
  try {
    document = parseDocument<ParsedNode>(text, {
      version: '1.2',
      schema: 'core',
      uniqueKeys: false,
      prettyErrors: false,
      lineCounter,
    })
  } catch {
    return failed(TOO_DEEP)
  }
  // The parser recurses, and reports its own overflow as a syntax error wherever it happened to be.
  if (document.errors.some(error => /call stack/.test(error.message))) return failed(TOO_DEEP)
  const problems: Problem[] = []
  let fatal = false
  for (const error of [...document.errors, ...document.warnings]) {
    if (error.code !== 'TAG_RESOLVE_FAILED') fatal = true
    problems.push({ offset: error.pos[0], message: error.message })
  }
  for (const offset of duplicateKeys(document.contents)) problems.push({ offset, message: duplicate(text, offset) })
  if (document.directives?.yaml.version !== '1.2')
    problems.push({ offset: 0, message: `expected YAML 1.2, got YAML ${document.directives?.yaml.version}` })

  const places = new Map<string, { key: number; value: number }>()
  let nodes = 0
  let copied = 0
  let aliases = 0
  let aliasesOpen = 0

  const build = (node: Node | null | undefined, path: Path, depth: number): unknown => {
    if (depth > MAX_DEPTH) throw new Unbounded(TOO_DEEP)
    if (++nodes > MAX_NODES) throw new Unbounded(TOO_MANY)
    if (aliasesOpen > 0 && ++copied > MAX_COPIED) throw new Unbounded(TOO_MANY_ALIASES)
    if (isAlias(node)) {
      if (++aliases > MAX_ALIASES) throw new Unbounded(TOO_MANY_ALIASES)
      const target = node.resolve(document)
      if (target === undefined) {
        problems.push({ offset: start(node), message: `unknown anchor ${node.source}` })
        return undefined
      }
      aliasesOpen++
      const value = build(target, path, depth + 1)
      aliasesOpen--
      return value
    }
    if (isMap(node)) {
      const map: Record<string, unknown> = Object.create(null)
      for (const { key, value } of node.items) {
        const keyOffset = start(key)
        const name = keyText(key)
        if (name === undefined) {
          problems.push({ offset: keyOffset, message: 'expected a string as key' })
          continue
        }
        const place = [...path, name]
        places.set(JSON.stringify(place), { key: keyOffset, value: start(value as Node | null) ?? keyOffset })
        if (name === '__proto__') {
          problems.push({ offset: keyOffset, message: 'unknown key `__proto__`' })
          continue
        }
        if (isScalar(key) && typeof key.value !== 'string')
          problems.push({ offset: keyOffset, message: badKey(name, path) })
        map[name] = build(value as Node | null, place, depth + 1)
      }
      return map
    }
    if (isSeq(node)) {
      return node.items.map((item, index) => {
        const place = [...path, index]
        const offset = start(item as Node | null)
        places.set(JSON.stringify(place), { key: offset, value: offset })
        return build(item as Node | null, place, depth + 1)
      })
    }
    if (!isScalar(node)) return null
    return substitute(node.value, start(node))
  }

  const substitute = (value: unknown, offset: number): unknown => {
    if (typeof value !== 'string' || !/\$\{(env|file):/.test(value)) return value
    const whole = /^\$\{(env|file):([^{}]+)\}$/.exec(value)
    if (whole === null) {
      problems.push({ offset, message: 'expected an env or file reference to be the whole value' })
      return UNREADABLE
    }
    const [, source, name] = whole as unknown as [string, 'env' | 'file', string]
    if (source === 'env') {
      const found = env[name]
      if (found === undefined) problems.push({ offset, message: `the environment variable ${name} is not set` })
      return found === undefined ? UNREADABLE : typed(found)
    }
    try {
      return typed(readFileSync(resolve(dirname(fileName), name), 'utf8').replace(/\r?\n$/, ''))
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code ?? 'unreadable'
      problems.push({ offset, message: `the file ${name} cannot be read (${code})` })
      return UNREADABLE
    }
  }

  /** A scalar's value by the core schema: its regular expressions only, so no text can become a map or an alias. */
  const typed = (content: string): unknown => {
    if (/^(["']).*\1$/s.test(content)) return content.slice(1, -1)
    for (const tag of document.schema.tags) {
      if (tag.collection !== undefined || tag.test === undefined || tag.default !== true) continue
      if (tag.test.test(content)) return scalarValue(tag.resolve(content, () => {}, { intAsBigInt: false } as never))
    }
    return content
  }

  let value: unknown
  try {
    value = fatal ? undefined : build(document.contents, [], 0)
  } catch (error) {
    if (!(error instanceof Unbounded)) throw error
    fatal = true
    problems.push({ offset: 0, message: error.message })
  }
  return {
    value,
    problems,
    fatal,
    position,
    at(path, what) {
      const place = places.get(JSON.stringify(path))
      if (place !== undefined) return place[what]
      for (let length = path.length - 1; length > 0; length--) {
        const ancestor = places.get(JSON.stringify(path.slice(0, length)))
        if (ancestor !== undefined) return ancestor.key
      }
      return document.contents?.range[0] ?? 0
    },
  }
}

// Stands where a reference could not be read: neither absent nor of any type.
const UNREADABLE = Symbol('unreadable')

class Unbounded extends Error {}

function start(node: unknown): number {
  return (node as { range?: readonly [number, number, number] } | null)?.range?.[0] ?? 0
}

/** The key as it is written: `1.10` stays `1.10` though YAML reads a number. */
function keyText(key: unknown): string | undefined {
  if (!isScalar(key)) return undefined
  return typeof key.value === 'string' ? key.value : (key.source ?? String(key.value))
}

function badKey(name: string, path: Path): string {
  const version = path.at(-1) === 'versions' ? ' and write all three parts of a semantic version, such as "1.10.0"' : ''
  return `expected a string as key, got ${name}, which YAML reads as something else: quote it${version}`
}

function duplicate(text: string, offset: number): string {
  const key = /^[^\s:,{}]+/.exec(text.slice(offset, offset + 200))?.[0]
  return key === undefined ? 'duplicate key' : `duplicate key \`${key}\``
}

function scalarValue(resolved: unknown): unknown {
  return isScalar(resolved) ? resolved.value : resolved
}
