// Puts HTML together so that every text is escaped unless it was made here. Knows nothing of what the texts say.
import { printable } from '../table.ts'

/** A piece of HTML that is safe to stand between other pieces. Made by {@link html} alone. */
export class Markup {
  readonly text: string

  constructor(text: string) {
    this.text = text
  }

  toString(): string {
    return this.text
  }
}

type Piece = Markup | string | number | undefined | false | readonly Piece[]

/**
 * A template whose values are escaped: `html\`<td>${name}</td>\``. Markup stands as it is, lists are joined, undefined and
 * false are nothing. Values may stand in text and in double-quoted attributes, nowhere else.
 */
export function html(strings: TemplateStringsArray, ...values: readonly Piece[]): Markup {
  let text = strings[0]!
  for (const [index, value] of values.entries()) text += piece(value) + strings[index + 1]!
  return new Markup(text)
}

/** Text that means itself in HTML, in attributes too. Control and direction characters are shown as \u{…}. */
export function escapeHtml(text: string): string {
  return printable(text).replace(/[&<>"'`]/g, character => `&#${character.charCodeAt(0)};`)
}

function piece(value: Piece): string {
  if (value === undefined || value === false) return ''
  if (value instanceof Markup) return value.text
  if (typeof value === 'object') return value.map(piece).join('')
  return escapeHtml(String(value))
}
