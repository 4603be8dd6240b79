import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { asUnderstudyError, ERRORS, UnderstudyError } from '../src/errors.ts'

const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8')

test.each(Object.entries(ERRORS))('README lists %s with its status', (code, { status }) => {
  const row = readme.split('\n').find(line => line.startsWith('|') && line.includes(`\`${code}\``))
  expect(row, `${code} stands in README's table`).toBeDefined()
  expect(row).toContain(String(status))
})

test('an unforeseen error becomes INTERNAL and its text is withheld from clients', () => {
  const error = asUnderstudyError(new TypeError('/secret/path'))
  expect(error).toMatchObject({ code: 'INTERNAL', status: 500, message: 'internal error' })
  expect((error.cause as Error).message).toBe('/secret/path')
})

test('an error of ours passes unchanged', () => {
  const error = new UnderstudyError('TOO_LARGE', 'too large')
  expect(asUnderstudyError(error)).toBe(error)
})
