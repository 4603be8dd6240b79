// Decides how the demo looks: titles, aligned figures, and one line that moves on a terminal and is printed plainly elsewhere.
import { printable, type Style, styleFor, table } from '../../report/table.ts'

export interface TellOptions {
  readonly write: (text: string) => void
  readonly colour: boolean
  /** Whether a line may be rewritten. */
  readonly moving: boolean
  readonly columns: number
}

/** On no terminal a progress line is printed this often at most. */
const PLAIN_EVERY_MS = 1_000

export class Tell {
  readonly style: Style
  readonly #options: TellOptions
  #moving = false
  #plainAt = Number.NEGATIVE_INFINITY
  #plain = ''

  constructor(options: TellOptions) {
    this.#options = options
    this.style = styleFor(options.colour)
  }

  title(text: string): void {
    this.#settle()
    this.#plainAt = Number.NEGATIVE_INFINITY
    this.#options.write(`\n${this.style.bold(text)}\n`)
  }

  line(text = ''): void {
    this.#settle()
    this.#options.write(text === '' ? '\n' : `  ${text}\n`)
  }

  /** Text that came from the gateway, wrapped to the width of a screen. */
  quote(text: string, paint: (text: string) => string = this.style.dim): void {
    for (const line of wrapped(printable(text), Math.min(this.#options.columns, 100) - 4)) this.line(`  ${paint(line)}`)
  }

  figures(rows: readonly (readonly string[])[], right: readonly number[], head?: readonly string[]): void {
    this.#settle()
    const { style } = this
    const options = head === undefined ? { right, indent: '    ', style } : { right, indent: '    ', style, head }
    this.#options.write(`${table(rows, options)}\n`)
  }

  /** The lines of a unified diff that changed. */
  diff(text: string): void {
    const changed = text.split('\n').filter(line => /^[-+]/.test(line) && !/^(---|\+\+\+) /.test(line))
    for (const line of changed) {
      const paint = line.startsWith('+') ? this.style.good : this.style.bad
      this.line(`  ${paint(printable(line.replace(/^([-+]) {4}/, '$1')))}`)
    }
  }

  /** Where things stand now: the line that moves. */
  progress(text: string, plainEveryMs = PLAIN_EVERY_MS): void {
    if (this.#options.moving) {
      const room = this.#options.columns - 3
      const shown = text.length > room ? `${text.slice(0, room - 1)}…` : text
      this.#options.write(`\r  ${this.style.dim(shown)}\u001b[K`)
      this.#moving = true
      return
    }
    const now = performance.now()
    if (now - this.#plainAt < plainEveryMs || text === this.#plain) return
    this.#plainAt = now
    this.#plain = text
    this.#options.write(`  ${text}\n`)
  }

  #settle(): void {
    if (this.#moving) this.#options.write('\r\u001b[K')
    this.#moving = false
  }
}

/** Words in lines of at most `width` characters; a longer word has a line of its own. */
export function wrapped(text: string, width: number): string[] {
  const lines: string[] = []
  for (const word of text.split(/\s+/)) {
    const last = lines.at(-1)
    if (last !== undefined && last.length + 1 + word.length <= width) lines[lines.length - 1] = `${last} ${word}`
    else lines.push(word)
  }
  return lines
}
