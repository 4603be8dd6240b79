// Which exit code a command ends with. Knows no command.

import { ERRORS, UnderstudyError } from '../errors.ts'
import type { Decision } from '../gate/evidence.ts'

export const EXIT = {
  ok: 0,
  error: 1,
  usage: 2,
  abort: 3,
  conflict: 4,
  unreachable: 5,
  undecided: 6,
  timeout: 124,
} as const
export type ExitCode = (typeof EXIT)[keyof typeof EXIT]

/** A command ends with this code and says `message` on stderr. */
export class CommandFailure extends Error {
  readonly exitCode: ExitCode

  constructor(exitCode: ExitCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'CommandFailure'
    this.exitCode = exitCode
  }
}

/** The code of anything thrown: what the caller or the configuration got wrong is 2, unless it is a conflict. */
export function exitCodeOf(error: unknown): ExitCode {
  if (error instanceof CommandFailure) return error.exitCode
  if (!(error instanceof UnderstudyError)) return EXIT.error
  if (error.code === 'CONFLICT' || error.code === 'STATE_IN_USE') return EXIT.conflict
  const { source } = ERRORS[error.code]
  return source === 'client' || source === 'configuration' ? EXIT.usage : EXIT.error
}

/** Whether a candidate may be promoted, as a code for scripts. */
export function exitCodeOfDecision(decision: Decision): ExitCode {
  if (decision === 'promote') return EXIT.ok
  return decision === 'abort' ? EXIT.abort : EXIT.undecided
}
