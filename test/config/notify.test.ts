import { expect, test } from 'vitest'
import { parseRoutes } from '../../src/config/load.ts'
import { messageOf } from '../../src/errors.ts'

function problemsOf(notify: string, env: Record<string, string> = {}): string {
  const text = `routes:\n  m:\n    live: 1.0.0\n    notify: ${notify}\n    versions: { 1.0.0: { onnx: a, weight: 100 } }\n`
  try {
    parseRoutes(text, 'routes.yaml', env)
    return ''
  } catch (error) {
    return messageOf(error)
  }
}

test('a webhook at a link-local address, or with a password in it, is refused as an upstream is', () => {
  expect(problemsOf("[{ url: 'http://169.254.169.254/latest' }]")).toBe(
    'routes.yaml:4:21 expected an address that is not link-local, got 169.254.169.254',
  )
  expect(problemsOf("[{ url: 'http://[::ffff:169.254.1.1]/' }]")).toMatch(/not link-local/)
  expect(problemsOf('[{ url: http://me:secret@a }]')).toMatch(/without user name and password$/)
})

const FROM_ENV = `[{ url: "\${env:HOOK}" }]`

test('the address of a webhook may come from the environment, and is not shown where it is wrong', () => {
  expect(problemsOf(FROM_ENV, { HOOK: 'https://hooks.example.com/T0/secret' })).toBe('')
  const wrong = problemsOf(FROM_ENV, { HOOK: 'hooks.example.com/T0/secret' })
  expect(wrong).toMatch(/expected an http or https address$/)
  expect(wrong).not.toContain('secret')
})

test('an unknown event is refused with the ones there are', () => {
  expect(problemsOf('[{ url: http://a, on: [promotd] }]')).toMatch(/promoted/)
  expect(problemsOf('[{ url: http://a, on: [] }]')).toMatch(/at least 1/)
})
