// The command `gate`: the verdict on a candidate, for a person and as an exit code for scripts.
import type { Command } from 'commander'
import type { Verdict } from '../gate/evidence.ts'
import { verdictText } from '../report/text.ts'
import { type AdminOptions, type CommandContext, withAdmin, withClient } from './context.ts'
import { exitCodeOfDecision } from './exit.ts'
import { jsonText, type Terminal } from './terminal.ts'

export const VERDICT_VERSION = 1

export function addGate(program: Command, { terminal, exit }: CommandContext): void {
  withAdmin(
    program
      .command('gate')
      .summary('the verdict on a candidate, as an exit code')
      .description(
        'Judges a candidate by the evidence of this moment. Exit codes: 0 promote, 3 abort, 6 not decided yet (continue, hold or invalid).',
      )
      .argument('<route>', 'route name')
      .argument('[candidate]', 'version; may be left out where there is one candidate'),
  ).action(async (route: string, candidate: string | undefined, options: AdminOptions & { json?: boolean }) => {
    const answer = await withClient(options, terminal, client => client.get(candidatePath(route, 'gate', candidate)))
    // The gateway's own words.
    const verdict = answer as Verdict
    printVerdict(verdict, options.json === true, terminal)
    exit(exitCodeOfDecision(verdict.decision))
  })
}

export function printVerdict(verdict: Verdict, asJson: boolean, terminal: Terminal): void {
  terminal.out(
    asJson
      ? jsonText({ verdictVersion: VERDICT_VERSION, ...verdict })
      : verdictText(verdict, { colour: terminal.colour }),
  )
}

/** Where the admin API tells of one candidate. */
export function candidatePath(
  route: string,
  what: 'gate' | 'report' | 'evidence',
  candidate: string | undefined,
): string {
  const query = candidate === undefined ? '' : `?candidate=${encodeURIComponent(candidate)}`
  return `/v1/routes/${encodeURIComponent(route)}/${what}${query}`
}
