// Reads what `judge` is asked about: recorded evidence, a policy or a whole routes.yaml. Judges nothing.
import { readFile } from 'node:fs/promises'
import { basename } from 'node:path'
import { readDocument } from '../config/document.ts'
import { parseRoutes } from '../config/load.ts'
import { faultsOf } from '../config/problems.ts'
import { comparedOutputs } from '../control/snapshot.ts'
import { messageOf, UnderstudyError } from '../errors.ts'
import type { Evidence, Policy } from '../gate/evidence.ts'
import { PolicyFile, policyInWords, readCompared, readEvidence } from '../report/evidenceFile.ts'
import type { ComparedOutput } from '../rollout/snapshot.ts'
import { CommandFailure, EXIT } from './exit.ts'
import type { Terminal } from './terminal.ts'

export interface QuestionFiles {
  /** The evidence; `-` is stdin. */
  readonly source: string
  /** Undefined: the policy in the evidence file. */
  readonly policy: string | undefined
  /** Undefined: the route of the evidence. */
  readonly route: string | undefined
}

/** What is judged, and how it was compared where that is known. */
export interface Question {
  readonly evidence: Evidence
  readonly policy: Policy
  readonly compared: readonly ComparedOutput[] | undefined
}

/** @throws CommandFailure 2 that says what cannot be read, and where */
export async function readQuestion({ source, policy, route }: QuestionFiles, terminal: Terminal): Promise<Question> {
  if (source === '-' && policy === '-')
    throw new CommandFailure(EXIT.usage, 'only one of the evidence and --policy can be read from stdin')
  const json = jsonOf(await text(source, terminal), source)
  const { evidence, compared } = evidenceOf(json, source)
  if (policy === undefined) {
    if (typeof json !== 'object' || json === null || !('policy' in json))
      throw new CommandFailure(EXIT.usage, `${nameOf(source)} holds no policy: name one with --policy`)
    return { evidence, compared, policy: ownPolicy(json.policy, source) }
  }
  const policyText = await text(policy, terminal)
  const file = policy === '-' ? 'stdin' : policy
  const { value } = readDocument(policyText, file, process.env)
  if (typeof value === 'object' && value !== null && 'routes' in value) {
    const name = route ?? evidence.route
    return { evidence, ...routeOf(policyText, file, name, compared) }
  }
  if (route !== undefined)
    throw new CommandFailure(EXIT.usage, `--route is for a routes.yaml, and ${nameOf(policy)} has no \`routes\``)
  return { evidence, compared, policy: policyOf(policyText, policy) }
}

/** A route of a routes.yaml. What the evidence itself says of its comparison goes before what the file says now. */
function routeOf(
  text: string,
  file: string,
  name: string,
  compared: Question['compared'],
): Pick<Question, 'policy' | 'compared'> {
  const { routes } = parseRoutes(text, file)
  const route = Object.hasOwn(routes, name) ? routes[name] : undefined
  if (route === undefined)
    throw new CommandFailure(
      EXIT.usage,
      `${nameOf(file)} has no route ${name}; name one of ${Object.keys(routes).join(', ')} with --route`,
    )
  const { expect, labels, gate } = route
  return { compared: compared ?? comparedOutputs(route), policy: { expect, labels, gate } }
}

function jsonOf(text: string, file: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new CommandFailure(EXIT.usage, `${nameOf(file)} is not JSON: ${messageOf(error)}`)
  }
}

function evidenceOf(json: unknown, file: string): Pick<Question, 'evidence' | 'compared'> {
  try {
    return { evidence: readEvidence(json), compared: readCompared(json) }
  } catch (error) {
    if (!(error instanceof UnderstudyError)) throw error
    throw new CommandFailure(EXIT.usage, prefixed(error.message.split('\n'), nameOf(file)))
  }
}

/** The policy that an evidence file holds beside its counters. */
function ownPolicy(part: unknown, file: string): Policy {
  const value = policyInWords(part)
  const faults = faultsOf(PolicyFile, value)
  if (faults.length === 0) return PolicyFile.parse(value)
  const lines = faults.map(({ path, message }) => `${['policy', ...path].join('.')}: ${message}`)
  throw new CommandFailure(EXIT.usage, prefixed(lines, nameOf(file)))
}

/** The policy in a text. @throws CommandFailure 2 with every problem, `policy.yaml:3:5 unknown key …` */
function policyOf(text: string, file: string): Policy {
  const document = readDocument(text, file === '-' ? 'stdin' : file, process.env)
  const problems = document.problems.map(({ offset, message }) => ({ offset, message }))
  const part = policyPart(document.value ?? {})
  const isWhole = part === (document.value ?? part)
  const inside = isWhole ? [] : ['policy']
  // A gateway's own answer may say milliseconds; what a person writes has a unit.
  const value = isWhole ? part : policyInWords(part)
  if (!document.fatal)
    for (const { path, what, message } of faultsOf(PolicyFile, value))
      problems.push({ offset: document.at([...inside, ...path], what), message })
  if (problems.length === 0) return PolicyFile.parse(value)
  const lines = problems
    .map(({ offset, message }) => ({ ...document.position(offset), message }))
    .sort((a, b) => a.line - b.line || a.column - b.column)
    .map(({ line, column, message }) => `${nameOf(file)}:${line}:${column} ${message}`)
  throw new CommandFailure(EXIT.usage, [...new Set(lines)].join('\n'))
}

/** An evidence file holds its policy beside the evidence. */
function policyPart(value: unknown): unknown {
  const holdsBoth = typeof value === 'object' && value !== null && 'evidence' in value && 'policy' in value
  return holdsBoth ? value.policy : value
}

async function text(file: string, terminal: Terminal): Promise<string> {
  try {
    const bytes = file === '-' ? await terminal.readStdin() : await readFile(file)
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? messageOf(error)
    throw new CommandFailure(EXIT.usage, `${nameOf(file)} cannot be read (${code})`)
  }
}

function nameOf(file: string): string {
  return file === '-' ? 'stdin' : basename(file)
}

function prefixed(lines: readonly string[], name: string): string {
  return lines.map(line => `${name}: ${line}`).join('\n')
}
