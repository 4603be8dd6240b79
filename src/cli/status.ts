// The command `status`: what a gateway says of itself, once or again and again.
import { setTimeout as wait } from 'node:timers/promises'
import type { Command } from 'commander'
import type { Status } from '../report/status.ts'
import { statusText } from '../report/statusText.ts'
import type { AdminClient } from './client.ts'
import { type AdminOptions, type CommandContext, withAdmin, withClient } from './context.ts'
import { CommandFailure, EXIT } from './exit.ts'
import { jsonText, type Terminal } from './terminal.ts'

interface StatusOptions extends AdminOptions {
  readonly watch?: boolean
  readonly json?: boolean
}

const EVERY_MS = 1000
/** Uptime and rates change all the time; what is compared to see whether anything happened is everything else. */
const RESTLESS = new Set(['uptimeMs', 'perSecond', 'elapsedMs', 'timeToVerdict'])

export function addStatus(program: Command, context: CommandContext): void {
  withAdmin(
    program
      .command('status')
      .summary('versions with their shares, held edits, the verdict on each candidate')
      .description(
        'Prints every route: its versions with the share they have and the one routes.yaml asks for, edits that are held and why, and the verdict on each candidate.\n--watch prints again whenever something changes, until it is interrupted or --timeout is over (exit code 124); with --timeout it also waits for a gateway that does not answer yet.',
      )
      .option('--watch', 'print again whenever something changes'),
  ).action((options: StatusOptions, command: Command) => {
    const { terminal, exit } = context
    if (options.watch !== true) return once(options, terminal)
    const limited = command.getOptionValueSource('timeout') !== 'default'
    return watch(options, terminal, limited).then(() => (limited ? exit(EXIT.timeout) : undefined))
  })
}

async function once(options: StatusOptions, terminal: Terminal): Promise<void> {
  const status = await withClient(options, terminal, read)
  terminal.out(options.json === true ? jsonText(status) : statusText(status, { colour: terminal.colour }))
}

/** Returns when the time is over, or at an interrupt. */
async function watch(options: StatusOptions, terminal: Terminal, limited: boolean): Promise<void> {
  const stop = limited ? AbortSignal.timeout(options.timeout) : undefined
  let shown = ''
  while (stop?.aborted !== true) {
    try {
      const status = await withClient({ ...options, timeout: Math.min(options.timeout, 30_000) }, terminal, read)
      const now = JSON.stringify(status, (key, value: unknown) => (RESTLESS.has(key) ? undefined : value))
      if (now !== shown || terminal.interactive) show(status, options, terminal, shown !== '')
      shown = now
    } catch (error) {
      const isAway =
        error instanceof CommandFailure && (error.exitCode === EXIT.unreachable || error.exitCode === EXIT.timeout)
      if (!limited || !isAway) throw error
      if (shown !== 'away') terminal.err(`${error.message}\n`)
      shown = 'away'
    }
    await wait(EVERY_MS, undefined, stop === undefined ? {} : { signal: stop }).catch(() => {})
  }
}

function show(status: Status, options: StatusOptions, terminal: Terminal, again: boolean): void {
  if (options.json === true) {
    terminal.out(`${JSON.stringify(status)}\n`)
    return
  }
  const text = statusText(status, { colour: terminal.colour })
  // On a terminal the table stands still: home, print, clear what is left below.
  if (terminal.interactive)
    terminal.out(`\u001b[H${again ? '' : '\u001b[2J'}${text.replaceAll('\n', '\u001b[K\n')}\u001b[J`)
  else terminal.out(again ? `\n${text}` : text)
}

async function read(client: AdminClient): Promise<Status> {
  // The gateway's own words; fields that a newer one adds are ignored.
  return (await client.get('/v1/status')) as Status
}
