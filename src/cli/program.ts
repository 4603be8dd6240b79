// Knows every command by name and runs the one that the arguments ask for.
import { Command, CommanderError } from 'commander'
import { UnderstudyError } from '../errors.ts'
import { VERSION } from '../version.ts'
import { addAbort } from './abort.ts'
import { addClear } from './clear.ts'
import type { CommandContext } from './context.ts'
import { addDemo } from './demo.ts'
import { CommandFailure, EXIT, type ExitCode, exitCodeOf } from './exit.ts'
import { addExplain } from './explain.ts'
import { addGate } from './gate.ts'
import { addHistory } from './history.ts'
import { addJudge } from './judge.ts'
import { addMirror } from './mirror.ts'
import { addModels } from './models.ts'
import { addPause } from './pause.ts'
import { addPromote } from './promote.ts'
import { addReport } from './report.ts'
import { addResume } from './resume.ts'
import { addRollback } from './rollback.ts'
import { addSchema } from './schema.ts'
import { addServe } from './serve.ts'
import { addSetWeight } from './setWeight.ts'
import { addStatus } from './status.ts'
import type { Terminal } from './terminal.ts'
import { addValidate } from './validate.ts'

const COMMANDS: readonly (readonly [
  heading: string,
  adds: readonly ((program: Command, context: CommandContext) => void)[],
])[] = [
  ['Run:', [addServe, addDemo, addValidate]],
  ['Look:', [addStatus, addReport, addGate, addExplain, addHistory]],
  ['Change:', [addPromote, addRollback, addSetWeight, addAbort, addClear, addPause, addResume, addMirror]],
  ['Without a gateway:', [addModels, addJudge, addSchema]],
]

const AFTER_HELP = `
Exit codes:
  0    done; gate and judge: promote
  1    something failed
  2    wrong usage or configuration
  3    gate and judge: abort
  4    conflict: the file or the state changed meanwhile, or does not allow it
  5    no gateway answers
  6    gate and judge: not decided yet
  124  timeout

Environment:
  UNDERSTUDY_ADMIN  address of the admin API, as --admin
  UNDERSTUDY_TOKEN  bearer token of the admin API
  NO_COLOR          no colours

Examples:
  understudy serve --routes routes.yaml
  understudy status --watch
  understudy report flight-delay 1.1.0 --format markdown
  understudy gate flight-delay 1.1.0 && understudy promote flight-delay 1.1.0
`

/** Runs one command line, the words after the program's name. Never throws; what went wrong is said on stderr. */
export async function run(args: readonly string[], terminal: Terminal): Promise<ExitCode> {
  let code: ExitCode = EXIT.ok
  const program = createProgram({ terminal, exit: chosen => (code = chosen) })
  try {
    await program.parseAsync([...args], { from: 'user' })
    return code
  } catch (error) {
    // commander has said what it found already; asking for help or the version is no error.
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage
    terminal.err(`${sentenceOf(error)}\n`)
    return exitCodeOf(error)
  }
}

export function createProgram(context: CommandContext): Command {
  const { terminal } = context
  const program = new Command('understudy')
    .description(
      'A gateway that tries new versions of a machine-learning model on real traffic, in the shadow or on a share of it, and lets them take more when the evidence says so.',
    )
    .version(VERSION, '-V, --version', 'print the version')
    .configureOutput({
      writeOut: text => terminal.out(text),
      writeErr: text => terminal.err(text),
      getOutHasColors: () => terminal.colour,
      getErrHasColors: () => terminal.colour,
    })
    .configureHelp({ showGlobalOptions: false })
    .showHelpAfterError('(--help says more)')
    // Without it `models add --version 1.0.0` would print the program's own version.
    .enablePositionalOptions()
    .exitOverride()
    .addHelpText('after', AFTER_HELP)
  for (const [heading, adds] of COMMANDS) {
    program.commandsGroup(heading)
    for (const add of adds) add(program, context)
  }
  return program
}

/** What a person needs to know; the stack only of what nobody foresaw. */
function sentenceOf(error: unknown): string {
  if (error instanceof CommandFailure || error instanceof UnderstudyError) return error.message
  return error instanceof Error ? (error.stack ?? error.message) : String(error)
}
