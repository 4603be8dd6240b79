// Where a command reads and writes: data on stdout, progress on stderr. The process, or a fake in tests.
import { buffer } from 'node:stream/consumers'

export interface Terminal {
  /** Data: a text that ends in a line break. */
  readonly out: (text: string) => void
  /** Progress and complaints. */
  readonly err: (text: string) => void
  readonly env: Readonly<Record<string, string | undefined>>
  /** Whether stdout may be coloured and rewritten. */
  readonly interactive: boolean
  readonly colour: boolean
  readonly readStdin: () => Promise<Uint8Array>
}

/** The terminal of this process. A reader that has seen enough (`| head`) ends the output, not the command. */
export function processTerminal(): Terminal {
  const interactive = process.stdout.isTTY === true
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', error => {
      if ((error as NodeJS.ErrnoException).code !== 'EPIPE') throw error
    })
  }
  return {
    out: text => void process.stdout.write(text),
    err: text => void process.stderr.write(text),
    env: process.env,
    interactive,
    colour: interactive && (process.env.NO_COLOR ?? '') === '' && process.env.TERM !== 'dumb',
    readStdin: () => buffer(process.stdin),
  }
}

/** A value as JSON on lines of its own; maps become objects, and numbers that JSON lacks become null. */
export function jsonText(value: unknown): string {
  return `${JSON.stringify(value, (_key, inner: unknown) => (inner instanceof Map ? Object.fromEntries(inner) : inner), 2)}\n`
}
