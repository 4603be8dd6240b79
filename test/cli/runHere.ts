// Runs the command line in this process with a terminal that remembers: fast, for everything but the process itself.
import { run } from '../../src/cli/program.ts'
import type { Ended } from './runCli.ts'

export async function runHere(
  args: readonly string[],
  options: { readonly env?: Record<string, string>; readonly colour?: boolean; readonly input?: string } = {},
): Promise<Ended> {
  let [out, err] = ['', '']
  const code = await run(args, {
    out: text => {
      out += text
    },
    err: text => {
      err += text
    },
    env: options.env ?? {},
    interactive: false,
    colour: options.colour === true,
    readStdin: async () => new TextEncoder().encode(options.input ?? ''),
  })
  return { code, signal: null, out, err }
}
