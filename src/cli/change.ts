// What the commands that change a route have in common: one request, and what became of it.
import { isDeepStrictEqual } from 'node:util'
import type { ChangeResult } from '../admin/control.ts'
import { printable, table } from '../report/table.ts'
import { type AdminOptions, type CommandContext, newIdempotencyKey, withClient } from './context.ts'
import { EXIT } from './exit.ts'
import { jsonText } from './terminal.ts'

export interface ChangeOptions extends AdminOptions {
  readonly reason?: string
  readonly dryRun?: boolean
  readonly json?: boolean
}

/** Asks for the change and prints what it did; exit code 4 when it could not be applied, 0 when it was so already. */
export async function change(
  route: string,
  action: 'promote' | 'rollback' | 'abort' | 'clear' | 'weight' | 'pause' | 'resume',
  body: object,
  options: ChangeOptions,
  { terminal, exit }: CommandContext,
): Promise<void> {
  const path = `/v1/routes/${encodeURIComponent(route)}/${action}`
  const answer = await withClient(options, terminal, client =>
    client.post(path, { ...body, reason: options.reason, dryRun: options.dryRun }, newIdempotencyKey()),
  )
  // The gateway's own words.
  const result = answer as ChangeResult
  terminal.out(options.json === true ? jsonText(result) : changeText(result))
  if (isRefused(result)) exit(EXIT.conflict)
}

/** Something was to change and was not applied, as where the file cannot be written: the diff is for a person to apply. */
function isRefused({ applied, dryRun, diff, before, after }: ChangeResult): boolean {
  return !applied && !dryRun && (diff !== '' || !isDeepStrictEqual(before, after))
}

/** A sentence, the shares that differ, and the diff of routes.yaml. */
export function changeText(result: ChangeResult): string {
  const { summary, dryRun, before, after, diff } = result
  const versions = [...new Set([...Object.keys(before), ...Object.keys(after)])]
  const rows = versions
    .filter(version => (before[version] ?? 0) !== (after[version] ?? 0))
    .map(version => [printable(version), `${before[version] ?? 0} %`, '→', `${after[version] ?? 0} %`])
  const prefix = dryRun ? 'dry run, nothing is changed: ' : isRefused(result) ? 'not applied: ' : ''
  const parts = [`${prefix}${printable(summary)}`]
  if (rows.length > 0) parts.push(table(rows, { right: [1, 3], indent: '  ' }))
  if (diff !== '') parts.push(diff.replace(/\n$/, '').split('\n').map(printable).join('\n'))
  return `${parts.join('\n')}\n`
}
