// The command `judge`: the gate alone, from counters and a policy in files. It asks no gateway and changes nothing.
import { readFile } from 'node:fs/promises'
import { basename } from 'node:path'
import type { Command } from 'commander'
import { readDocument } from '../config/document.ts'
import { faultsOf } from '../config/problems.ts'
import { messageOf, UnderstudyError } from '../errors.ts'
import type { Policy } from '../gate/evidence.ts'
import { judge } from '../gate/verdict.ts'
import { PolicyFile, policyInWords, readEvidence } from '../report/evidenceFile.ts'
import type { CommandContext } from './context.ts'
import { CommandFailure, EXIT, exitCodeOfDecision } from './exit.ts'
import { printVerdict } from './gate.ts'
import type { Terminal } from './terminal.ts'

interface JudgeOptions {
  readonly evidence: string
  readonly policy: string
  readonly json?: boolean
}

export function addJudge(program: Command, { terminal, exit }: CommandContext): void {
  program
    .command('judge')
    .summary('the gate alone: counters and policy in, verdict out')
    .description(
      'Judges evidence by a policy, both from files, and ends with the exit codes of `gate`. The evidence is the JSON of GET /v1/routes/ROUTE/evidence, or its `evidence` part; the policy is YAML or JSON with the keys expect, labels and gate of a route.',
    )
    .requiredOption('--evidence <file>', 'evidence, JSON (- for stdin)')
    .requiredOption('--policy <file>', 'policy, YAML or JSON (- for stdin)')
    .option('--json', 'print JSON')
    .action(async (options: JudgeOptions) => {
      if (options.evidence === '-' && options.policy === '-')
        throw new CommandFailure(EXIT.usage, 'only one of --evidence and --policy can be read from stdin')
      const evidence = evidenceOf(await text(options.evidence, terminal), options.evidence)
      const policy = policyOf(await text(options.policy, terminal), options.policy)
      const verdict = judge(evidence, policy)
      printVerdict(verdict, options.json === true, terminal)
      exit(exitCodeOfDecision(verdict.decision))
    })
}

function evidenceOf(text: string, file: string) {
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch (error) {
    throw new CommandFailure(EXIT.usage, `${nameOf(file)} is not JSON: ${messageOf(error)}`)
  }
  try {
    return readEvidence(partOf(json, 'evidence'))
  } catch (error) {
    if (!(error instanceof UnderstudyError)) throw error
    throw new CommandFailure(EXIT.usage, prefixed(error.message.split('\n'), nameOf(file)))
  }
}

/** The policy in a text. @throws CommandFailure 2 with every problem, `policy.yaml:3:5 unknown key …` */
function policyOf(text: string, file: string): Policy {
  const document = readDocument(text, file === '-' ? 'stdin' : file, process.env)
  const problems = document.problems.map(({ offset, message }) => ({ offset, message }))
  const part = partOf(document.value ?? {}, 'policy')
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

/** The answer of GET …/evidence holds both; each may be read from it. */
function partOf(value: unknown, part: 'evidence' | 'policy'): unknown {
  const holdsBoth = typeof value === 'object' && value !== null && 'evidence' in value && 'policy' in value
  return holdsBoth ? (value as Record<string, unknown>)[part] : value
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
