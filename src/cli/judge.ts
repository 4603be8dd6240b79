// The command `judge`: the gate alone, from counters and a policy in files. It asks no gateway and changes nothing.
import { type Command, InvalidArgumentError } from 'commander'
import { parse } from 'yaml'
import type { Verdict } from '../gate/evidence.ts'
import { judge } from '../gate/verdict.ts'
import { changePolicy, type SettingChange } from '../report/policyWhatIf.ts'
import { judgeWithTolerance, type MismatchBounds } from '../report/toleranceWhatIf.ts'
import type { CommandContext } from './context.ts'
import { CommandFailure, EXIT, exitCodeOfDecision } from './exit.ts'
import { printVerdict, VERDICT_VERSION } from './gate.ts'
import { type Question, readQuestion } from './question.ts'
import { jsonText, type Terminal } from './terminal.ts'

interface JudgeOptions {
  readonly evidence?: string
  readonly policy?: string
  readonly route?: string
  readonly set?: readonly SettingChange[]
  readonly tolerance?: number
  readonly json?: boolean
}

const DESCRIPTION = [
  'Judges recorded evidence and ends with the exit codes of `gate`. FILE is what `understudy report ROUTE --format evidence --out FILE` writes: the counters, the policy and how answers were compared.',
  '--policy names another policy: a file with the keys expect, labels and gate of a route, or a whole routes.yaml with --route.',
  '--set and --tolerance ask "what if". They answer from the same counters and license nothing: only the gateway’s own verdict does. --tolerance works where one output was compared as a number or as probabilities.',
].join('\n')
const EXAMPLES = `
Examples:
  understudy report churn --format evidence --out week.json
  understudy judge week.json
  understudy judge week.json --tolerance 1e-3
  understudy judge week.json --set gate.disagreement=0.02 --set gate.exposure.for=30m
  understudy judge week.json --policy routes.yaml --route churn
`

export function addJudge(program: Command, { terminal, exit }: CommandContext): void {
  program
    .command('judge')
    .summary('the gate alone: counters and policy in, verdict out')
    .description(DESCRIPTION)
    .argument('[file]', 'recorded evidence, JSON (- for stdin)')
    .option('--evidence <file>', 'the same, by name')
    .option(
      '--policy <file>',
      'policy or routes.yaml, YAML or JSON (- for stdin); that of the evidence file by default',
    )
    .option('--route <name>', 'route of a routes.yaml; that of the evidence by default')
    .option('--set <key=value>', 'what if a setting were another, as in routes.yaml; may be repeated', collect)
    .option('--tolerance <number>', 'what if `compare.tolerance.absolute` had been another', parseTolerance)
    .option('--json', 'print JSON')
    .addHelpText('after', EXAMPLES)
    .action(async (file: string | undefined, options: JudgeOptions) => {
      if (file !== undefined && options.evidence !== undefined)
        throw new CommandFailure(EXIT.usage, 'name the evidence once: as FILE or with --evidence')
      const source = file ?? options.evidence
      if (source === undefined) throw new CommandFailure(EXIT.usage, "missing required argument 'file'")
      const question = await readQuestion({ source, policy: options.policy, route: options.route }, terminal)
      const { verdict, note } = answer(question, options)
      const asked = askedOf(options)
      if (asked.length === 0) printVerdict(verdict, options.json === true, terminal)
      else printWhatIf(verdict, asked, note, options.json === true, terminal)
      exit(exitCodeOfDecision(verdict.decision))
    })
}

function answer({ evidence, policy, compared }: Question, options: JudgeOptions): { verdict: Verdict; note: string } {
  const { policy: changed, problems } = changePolicy(policy, options.set ?? [])
  if (problems.length > 0) throw new CommandFailure(EXIT.usage, problems.map(line => `--set ${line}`).join('\n'))
  if (options.tolerance === undefined) return { verdict: judge(evidence, changed), note: '' }
  const plain = judge(evidence, changed)
  // Counters that cannot be true answer no question.
  if (plain.decision === 'invalid') return { verdict: plain, note: '' }
  const answered = judgeWithTolerance(evidence, changed, compared, options.tolerance)
  if ('refused' in answered) throw new CommandFailure(EXIT.usage, `--tolerance cannot be answered: ${answered.refused}`)
  const shown = changed.expect === 'same' ? '' : '; differences are only shown where `expect` is change'
  return {
    verdict: answered.verdict,
    note: `${boundsText(answered.mismatches)} of ${answered.compared} answers would differ${shown}; segments of differences are left out`,
  }
}

function boundsText({ atLeast, atMost }: MismatchBounds): string {
  return atLeast === atMost ? `${atLeast}` : `between ${atLeast} and ${atMost}`
}

function askedOf({ set = [], tolerance }: JudgeOptions): string[] {
  return [
    ...set.map(({ setting, value }) => `${setting} = ${String(value)}`),
    ...(tolerance === undefined ? [] : [`compare.tolerance.absolute = ${tolerance}`]),
  ]
}

function printWhatIf(
  verdict: Verdict,
  asked: readonly string[],
  note: string,
  asJson: boolean,
  terminal: Terminal,
): void {
  if (asJson) {
    terminal.out(jsonText({ verdictVersion: VERDICT_VERSION, whatIf: { asked, note }, ...verdict }))
    return
  }
  terminal.out(`what if ${asked.join(', ')} (this licenses nothing):\n`)
  if (note !== '') terminal.out(`  ${note}\n`)
  printVerdict(verdict, false, terminal)
}

function collect(text: string, before: readonly SettingChange[] = []): SettingChange[] {
  const at = text.indexOf('=')
  if (at <= 0) throw new InvalidArgumentError('Expected key=value, such as gate.disagreement=0.02.')
  let value: unknown
  try {
    value = parse(text.slice(at + 1), { schema: 'core' })
  } catch {
    throw new InvalidArgumentError(`${JSON.stringify(text.slice(at + 1))} is no value.`)
  }
  return [...before, { setting: text.slice(0, at).trim(), value }]
}

function parseTolerance(text: string): number {
  const value = Number(text)
  if (text.trim() === '' || !Number.isFinite(value) || value < 0)
    throw new InvalidArgumentError('Expected a number from 0, such as 1e-3.')
  return value
}
