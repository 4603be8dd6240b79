import { afterEach, describe, expect, it, vi } from 'vitest'
import { createLogger, type LogOptions } from '../../src/telemetry/log.ts'

afterEach(() => vi.unstubAllEnvs())

describe('the log', () => {
  it('is JSON lines with time, level and message', () => {
    const { logger, lines } = logged()
    logger.info({ route: 'flight-delay' }, 'promoted')
    expect(JSON.parse(lines[0]!)).toEqual({
      level: 'info',
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
      route: 'flight-delay',
      msg: 'promoted',
    })
  })

  it.each([
    [undefined, ['info', 'error']],
    ['debug', ['debug', 'info', 'error']],
    ['error', ['error']],
    ['silent', []],
    ['nonsense', ['info', 'error']],
  ])('with UNDERSTUDY_LOG=%s says %j', (level, expected) => {
    vi.stubEnv('UNDERSTUDY_LOG', level)
    const { logger, lines } = logged()
    logger.debug('debug')
    logger.info('info')
    logger.error('error')
    expect(lines.map(line => JSON.parse(line).msg)).toEqual(expected)
  })

  it('leaves out what a request held, whoever passes it', () => {
    const { logger, lines } = logged()
    logger.info(
      { body: 'secret', token: 'secret', request: { headers: 'secret', inputs: ['secret'], id: 'req-1' } },
      'odd',
    )
    expect(lines[0]).not.toContain('secret')
    expect(lines[0]).toContain('req-1')
  })

  it('tells an error by message and stack, under either usual name', () => {
    const { logger, lines } = logged()
    logger.error({ err: new Error('one') })
    logger.error({ error: new Error('two') })
    expect(JSON.parse(lines[0]!).err).toMatchObject({ message: 'one', stack: expect.stringContaining('at ') })
    expect(JSON.parse(lines[1]!).error).toMatchObject({ message: 'two', stack: expect.stringContaining('at ') })
  })

  it('is readable lines on a terminal, errors with their stack', () => {
    const { logger, lines } = logged({ pretty: true })
    logger.warn({ route: 'flight-delay', reason: 'two words' }, 'held')
    logger.error({ err: new Error('broken') }, 'failed')
    expect(lines[0]).toMatch(/^\d\d:\d\d:\d\d\.\d{3} warn {2}held route=flight-delay reason="two words"\n$/)
    expect(lines[1]).toMatch(/^\S+ error failed\nError: broken\n {4}at /)
  })
})

function logged(options: LogOptions = {}) {
  const lines: string[] = []
  return { lines, logger: createLogger({ pretty: false, ...options, to: { write: line => void lines.push(line) } }) }
}
