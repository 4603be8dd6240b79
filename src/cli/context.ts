// What every command has in common: its terminal, its exit code, the options that reach a gateway.
import { randomUUID } from 'node:crypto'
import { type Command, InvalidArgumentError, Option } from 'commander'
import { durationMs } from '../config/units.ts'
import { type AdminClient, createAdminClient } from './client.ts'
import type { ExitCode } from './exit.ts'
import type { Terminal } from './terminal.ts'

export interface CommandContext {
  readonly terminal: Terminal
  /** The code that the process will end with; 0 when it is never called. */
  readonly exit: (code: ExitCode) => void
}

export interface AdminOptions {
  readonly admin: string
  readonly timeout: number
}

/** `--admin`, `--timeout` and `--json` of a command that asks a running gateway. */
export function withAdmin(command: Command, timeout = '30s'): Command {
  return command
    .addOption(
      new Option('--admin <url>', 'address of the gateway’s admin API')
        .env('UNDERSTUDY_ADMIN')
        .default('http://127.0.0.1:9090'),
    )
    .addOption(
      new Option('--timeout <duration>', 'give up after this long, with exit code 124')
        .argParser(parseDuration)
        .default(parseDuration(timeout), timeout),
    )
    .option('--json', 'print JSON')
}

/** `--reason`, `--dry-run` and what `withAdmin` adds, of a command that changes something. */
export function withChange(command: Command, reason: 'required' | 'optional' = 'optional'): Command {
  const text = 'why, for the history'
  return withAdmin(
    (reason === 'required'
      ? command.requiredOption('--reason <text>', text)
      : command.option('--reason <text>', text)
    ).option('--dry-run', 'say what would be done and do nothing'),
  )
}

/** Asks a gateway, and lets go of the connection whatever comes. */
export async function withClient<T>(
  options: AdminOptions,
  terminal: Terminal,
  ask: (client: AdminClient) => Promise<T>,
): Promise<T> {
  const token = terminal.env.UNDERSTUDY_TOKEN
  const client = createAdminClient({
    url: options.admin,
    token: token === '' ? undefined : token,
    timeoutMs: options.timeout,
  })
  try {
    return await ask(client)
  } finally {
    await client.close()
  }
}

/** A key for one change, so that sending it again does nothing twice. */
export function newIdempotencyKey(): string {
  return randomUUID()
}

export function parseDuration(text: string): number {
  const parsed = durationMs.safeParse(text)
  if (!parsed.success) throw new InvalidArgumentError('Expected a duration such as 250ms, 10s, 5m or 24h.')
  return parsed.data
}
