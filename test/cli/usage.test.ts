import { describe, expect, it } from 'vitest'
import { runCli } from './runCli.ts'
import { runHere } from './runHere.ts'

describe('a command line that is wrong', () => {
  it.each([
    ['an unknown command', ['vaildate'], /unknown command 'vaildate'\n\(Did you mean validate\?\)/],
    ['an unknown option', ['status', '--admni', 'x'], /unknown option '--admni'\n\(Did you mean --admin\?\)/],
    ['a missing argument', ['gate'], /missing required argument 'route'/],
    ['too many arguments', ['schema', 'x'], /too many arguments/],
    ['a change without the reason it needs', ['clear', 'r', '1.0.0'], /required option '--reason <text>'/],
    ['a pause without a reason', ['pause', 'r'], /required option '--reason <text>'/],
    ['a share above 100', ['set-weight', 'r', '1.0.0', '101'], /percentage from 0 to below 100/],
    ['all, which makes a version live', ['set-weight', 'r', '1.0.0', '100'], /promote makes a version live/],
    ['a share that is no number', ['set-weight', 'r', '1.0.0', 'half'], /percentage from 0 to below 100/],
    ['a mirror neither on nor off', ['mirror', 'of'], /Allowed choices are on, off/],
    ['an unknown format', ['report', 'r', '--format', 'pdf'], /Expected text, markdown, html, json/],
    ['a timeout without a unit', ['status', '--timeout', '60'], /Expected a duration/],
    ['no threads', ['serve', '--threads', '0'], /whole number from 1/],
    ['a port beyond the last', ['serve', '--listen', '127.0.0.1:99999'], /port up to 65535/],
    ['an address that is no URL', ['status', '--admin', 'nonsense'], /http or https address/],
    ['a password in the address', ['status', '--admin', 'http://a:b@127.0.0.1:1'], /without user name and password/],
    ['a routes file that is not there', ['serve', '--routes', 'nowhere.yaml'], /there is no nowhere\.yaml here/],
    ['no command at all', [], /Usage: understudy/],
  ])('%s ends with code 2 and says what is wrong on stderr', async (_what, args, message) => {
    const { code, out, err } = await runHere(args)
    expect([code, out]).toEqual([2, ''])
    expect(err).toMatch(message)
  })
})

it('the process itself ends with that code and nothing on stdout', async () => {
  expect(await runCli(['vaildate'])).toMatchObject({ code: 2, signal: null, out: '' })
})

describe('help', () => {
  it('of the program names every command, exit code and variable', async () => {
    const { code, out } = await runHere(['--help'])
    expect(code).toBe(0)
    for (const word of [
      'serve',
      'validate',
      'status',
      'report',
      'gate',
      'explain',
      'judge',
      'promote',
      'rollback',
      'clear',
      'abort',
      'pause',
      'resume',
      'set-weight',
      'mirror',
      'history',
      'schema',
      'models',
      '124',
      'UNDERSTUDY_TOKEN',
      'NO_COLOR',
    ])
      expect(out).toContain(word)
  })

  it('of a command says what its options mean', async () => {
    const { code, out } = await runHere(['models', 'add', '--help'])
    expect(code).toBe(0)
    expect(out).toContain('--samples')
  })

  it('is not confused by a --version that belongs to a command', async () => {
    expect((await runCli(['--version'])).out).toMatch(/^\d+\.\d+\.\d+\n$/)
    const { code, err } = await runHere(['models', 'add', 'x.onnx', '--name', 'm', '--version', 'v1'])
    expect(code).toBe(2)
    expect(err).toContain('semantic version')
  })
})

it('schema prints the JSON schema of routes.yaml', async () => {
  const { code, out } = await runCli(['schema'])
  expect(code).toBe(0)
  expect(JSON.parse(out)).toMatchObject({ properties: { routes: expect.anything() } })
})
