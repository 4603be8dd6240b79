// Decides whether a text is a valid routes.yaml and says everything that is wrong with it. It knows nothing of traffic.
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { basename } from 'node:path'
import { UnderstudyError } from '../errors.ts'
import { type Path, type Problem, readDocument } from './document.ts'
import { faultsOf } from './problems.ts'
import { rulesBroken } from './rules.ts'
import { RoutesFile, Version } from './schema.ts'
import { withTraced } from './traced.ts'

/** A routes file that parsed: the configuration, the text it came from and the sha256 of its bytes, hexadecimal. */
export interface LoadedRoutes {
  readonly config: RoutesFile
  readonly text: string
  readonly hash: string
}

/**
 * The configuration a text stands for: durations in ms, sizes in bytes, every default filled in.
 * `${file:PATH}` is read relative to the folder of `fileName`.
 * @throws BAD_CONFIGURATION with every problem on a line of its own, `routes.yaml:14:7 expected …`, in the order of the file.
 */
export function parseRoutes(
  text: string,
  fileName: string,
  env: Readonly<Record<string, string | undefined>> = process.env,
): RoutesFile {
  const document = readDocument(text, fileName, env)
  const problems: Problem[] = [...document.problems]
  if (!document.fatal) {
    const taken = new Set(problems.map(problem => problem.offset))
    for (const { path, what, message } of [...faultsOf(RoutesFile, document.value), ...rulesBroken(document.value)]) {
      const offset = document.at(path as Path, what)
      // A value that could not be read (an unset variable, a bad key) is missing too; once is enough.
      if (!taken.has(offset)) problems.push({ offset, message })
    }
  }
  if (problems.length === 0) return withTraced(RoutesFile.parse(document.value))

  const file = basename(fileName)
  const lines = problems
    .map(({ offset, message }) => ({ ...document.position(offset), message }))
    .sort((a, b) => a.line - b.line || a.column - b.column)
    .map(({ line, column, message }) => `${file}:${line}:${column} ${message}`)
  throw new UnderstudyError('BAD_CONFIGURATION', [...new Set(lines)].join('\n'))
}

/** One version from the YAML text of its entry, as `entryText` gives it. @throws BAD_CONFIGURATION. */
export function parseEntry(
  entry: string,
  fileName: string,
  env: Readonly<Record<string, string | undefined>> = process.env,
): Version {
  const document = readDocument(entry, fileName, env)
  const result = Version.safeParse(document.value)
  if (document.problems.length > 0 || !result.success)
    throw new UnderstudyError('BAD_CONFIGURATION', 'the recorded entry of a version cannot be read')
  return result.data
}

/** Reads and parses a routes file. @throws BAD_CONFIGURATION, also when it cannot be read or is not UTF-8. */
export function loadRoutes(path: string, env?: Readonly<Record<string, string | undefined>>): LoadedRoutes {
  const file = basename(path)
  let bytes: Buffer
  try {
    bytes = readFileSync(path)
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'unreadable'
    throw new UnderstudyError('BAD_CONFIGURATION', `${file}:1:1 expected a readable file (${code})`, { cause: error })
  }
  const text = decodeRoutes(bytes, file)
  return { config: parseRoutes(text, path, env), text, hash: hashBytes(bytes) }
}

/** Text of a routes file, byte order mark kept, so that writing it back gives the same bytes. */
export function decodeRoutes(bytes: Uint8Array, file: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch (error) {
    throw new UnderstudyError('BAD_CONFIGURATION', `${file}:1:1 expected UTF-8`, { cause: error })
  }
}

/** sha256 of a file's bytes (or of a text's UTF-8), hexadecimal. */
export function hashBytes(bytes: Uint8Array | string): string {
  return createHash('sha256').update(bytes).digest('hex')
}
