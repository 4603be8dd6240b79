// The command `history`: who changed what, when and why.
import { type Command, InvalidArgumentError } from 'commander'
import type { HistoryEntry } from '../admin/control.ts'
import { printable, styleFor, table } from '../report/table.ts'
import { type AdminOptions, type CommandContext, withAdmin, withClient } from './context.ts'
import { jsonText } from './terminal.ts'

interface HistoryOptions extends AdminOptions {
  readonly last: number
  readonly json?: boolean
}

export const HISTORY_VERSION = 1

export function addHistory(program: Command, { terminal }: CommandContext): void {
  withAdmin(
    program
      .command('history')
      .summary('who changed what, when and why')
      .argument('[route]', 'route name; all routes by default')
      .option('--last <n>', 'how many entries', parseCount, 100),
  ).action(async (route: string | undefined, options: HistoryOptions) => {
    const query = new URLSearchParams({ last: String(options.last), ...(route !== undefined && { route }) })
    const answer = await withClient(options, terminal, client => client.get(`/v1/history?${query}`))
    // The gateway's own words.
    const { entries } = answer as { entries: HistoryEntry[] }
    if (options.json === true) terminal.out(jsonText({ historyVersion: HISTORY_VERSION, entries }))
    else terminal.out(historyText(entries, terminal.colour))
  })
}

function historyText(entries: readonly HistoryEntry[], colour: boolean): string {
  if (entries.length === 0) return 'nothing has been changed yet\n'
  const rows = entries.map(entry => [
    entry.at,
    entry.route,
    entry.phase === undefined || entry.phase === null ? entry.kind : `${entry.kind} (${entry.phase})`,
    whatOf(entry),
    entry.who,
    entry.reason,
  ])
  const head = ['when', 'route', 'what', 'version', 'who', 'why']
  return `${table(
    rows.map(row => row.map(printable)),
    { head, style: styleFor(colour) },
  )}\n`
}

/** A version with its share, or one in place of another. */
function whatOf({ version, from, to }: HistoryEntry): string {
  const change = [from, to].filter(Boolean).join(' → ')
  return version === undefined || from === version || to === version ? change : `${version}  ${change}`
}

function parseCount(text: string): number {
  const count = Number(text)
  if (!/^\d+$/.test(text) || count < 1 || count > 10_000)
    throw new InvalidArgumentError('Expected a whole number from 1 to 10000.')
  return count
}
