// Turns what zod found wrong into sentences at places: the nearest known key, the branch of a union that was meant.
import type { z } from 'zod'
import type { Path } from './document.ts'
import { nearest } from './nearest.ts'
import { show } from './units.ts'

/** One thing wrong with a value, by the path to it. `what` says whether the key or its value is to blame. */
export interface Fault {
  readonly path: Path
  readonly what: 'key' | 'value'
  readonly message: string
}

type Issue = z.core.$ZodIssue
// zod's definitions are not exported as one discriminated union; only the fields below are read.
interface Definition {
  readonly type: string
  readonly shape?: Record<string, z.core.$ZodType>
  readonly valueType?: z.core.$ZodType
  readonly innerType?: z.core.$ZodType
  readonly in?: z.core.$ZodType
  readonly element?: z.core.$ZodType
  readonly options?: readonly z.core.$ZodType[]
}

/** Faults of `value` against `schema`; none when it parses. */
export function faultsOf(schema: z.ZodType, value: unknown): Fault[] {
  const result = schema.safeParse(value, { error: phrase, reportInput: true })
  if (result.success) return []
  return result.error.issues.flatMap(issue => [...explain(schema, issue, []), ...behindKey(schema, value, issue)])
}

/** What zod's own messages become where the schema has none of its own. */
export function phrase(issue: z.core.$ZodRawIssue): string | undefined {
  const got = show(issue.input)
  switch (issue.code) {
    case 'invalid_type':
      return `expected ${name(issue.expected)}, got ${got}`
    case 'too_small':
      if (issue.origin === 'string')
        return issue.minimum === 1 ? 'expected some text, got none' : `expected at least ${issue.minimum} characters`
      if (issue.origin === 'array')
        return `expected at least ${issue.minimum} ${issue.minimum === 1 ? 'entry' : 'entries'}`
      return `expected ${issue.inclusive === false ? 'more than' : 'at least'} ${issue.minimum}, got ${got}`
    case 'too_big':
      if (issue.origin === 'array') return `expected at most ${issue.maximum} entries`
      return `expected ${issue.inclusive === false ? 'less than' : 'at most'} ${issue.maximum}, got ${got}`
    case 'invalid_value':
      return `expected ${issue.values.map(String).join(', ')}, got ${got}`
    case 'invalid_format':
      return issue.format === 'url'
        ? `expected an http or https address, got ${got}`
        : issue.format === 'starts_with'
          ? `expected text that starts with ${issue.prefix}, got ${got}`
          : undefined
    case 'unrecognized_keys':
      return 'unknown key'
    case 'invalid_union':
      return `got ${got}, which is none of the forms that may stand here`
    default:
      return undefined
  }
}

function explain(root: z.core.$ZodType, issue: Issue, above: Path): Fault[] {
  const path = [...above, ...issue.path] as Path
  if (issue.code === 'unrecognized_keys') {
    const known = knownKeys(root, path)
    return issue.keys.map(key => ({ path: [...path, key], what: 'key', message: unknownKey(key, known) }))
  }
  if (issue.code === 'invalid_key') {
    return issue.issues.map(inner => ({ path, what: 'key', message: inner.message }))
  }
  if (issue.code === 'invalid_union') return explainUnion(root, issue, path)
  const missing = issue.input === undefined && ['invalid_type', 'invalid_value'].includes(issue.code) && path.length > 0
  if (missing)
    return [
      {
        path,
        what: 'key',
        message: `missing key \`${String(path.at(-1))}\`: ${issue.message.replace(/, got nothing$/, '')}`,
      },
    ]
  return [
    {
      path,
      what: issue.code === 'invalid_type' && issue.expected === 'undefined' ? 'key' : 'value',
      message: issue.message,
    },
  ]
}

/** zod does not look behind a key of a record that it refuses; a person wants to know of both at once. */
function behindKey(root: z.core.$ZodType, value: unknown, issue: Issue): Fault[] {
  if (issue.code !== 'invalid_key') return []
  const path = issue.path as Path
  const inner = path.reduce<unknown>((at, step) => (at as Record<string | number, unknown>)[step], value)
  return schemasAt(root, path).flatMap(schema =>
    faultsOf(schema as z.ZodType, inner).map(fault => ({ ...fault, path: [...path, ...fault.path] })),
  )
}

/** A union fails as a whole; a person meant one of its forms: the one whose type is right. */
function explainUnion(root: z.core.$ZodType, issue: z.core.$ZodIssueInvalidUnion, path: Path): Fault[] {
  const branches = issue.errors.filter(
    branch => !branch.some(inner => inner.path.length === 0 && inner.code === 'invalid_type'),
  )
  if (branches.length === 1) return branches[0]!.flatMap(inner => explain(root, inner, path))
  const known = knownKeys(root, path)
  const input = issue.input
  if (input !== null && typeof input === 'object' && !Array.isArray(input)) {
    const unknown = Object.keys(input).filter(key => !known.includes(key))
    if (unknown.length > 0)
      return unknown.map(key => ({ path: [...path, key], what: 'key', message: unknownKey(key, known) }))
    const deep = branches.find(branch => branch.every(inner => inner.path.length > 0 && inner.input !== undefined))
    if (deep !== undefined) return deep.flatMap(inner => explain(root, inner, path))
    if (known.length > 0)
      return [{ path, what: 'value', message: `expected one of ${known.map(key => `\`${key}\``).join(', ')}` }]
  }
  return [{ path, what: 'value', message: issue.message }]
}

function unknownKey(key: string, known: readonly string[]): string {
  const near = nearest(key, known)
  if (near !== undefined) return `unknown key \`${key}\`, did you mean \`${near}\`?`
  return `unknown key \`${key}\`${known.length > 0 ? `, expected one of ${known.join(', ')}` : ''}`
}

/** Keys that may stand in the map at `path`, over all forms of it; those not supported yet are not suggested. */
function knownKeys(root: z.core.$ZodType, path: Path): string[] {
  const keys = schemasAt(root, path)
    .flatMap(unwrap)
    .flatMap(({ shape }) => Object.entries(shape ?? {}))
  return [
    ...new Set(
      keys.filter(([, schema]) => !unwrap(schema).some(({ type }) => type === 'undefined')).map(([key]) => key),
    ),
  ]
}

function schemasAt(root: z.core.$ZodType, path: Path): z.core.$ZodType[] {
  return path.reduce<z.core.$ZodType[]>(
    (here, step) =>
      here.flatMap(unwrap).flatMap(({ type, shape, valueType, element }) => {
        const next = { object: shape?.[String(step)], record: valueType, array: element }[type]
        return next ?? []
      }),
    [root],
  )
}

function unwrap(schema: z.core.$ZodType): Definition[] {
  const definition = schema._zod.def as unknown as Definition
  const inner = definition.innerType ?? (definition.type === 'pipe' ? definition.in : undefined)
  if (inner !== undefined) return unwrap(inner)
  return definition.type === 'union' ? (definition.options ?? []).flatMap(unwrap) : [definition]
}

function name(expected: string): string {
  const names: Record<string, string> = {
    object: 'a map',
    record: 'a map',
    array: 'a list',
    string: 'text',
    boolean: 'true or false',
    int: 'a whole number',
    number: 'a number',
  }
  return names[expected] ?? expected
}
