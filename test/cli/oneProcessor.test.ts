import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { againWith, ONE_PROCESSOR_FLAGS } from '../../src/cli/oneProcessor.ts'

const script = ['/app/src/main.ts', 'serve', '--threads', '2']

describe('a gateway with one processor', () => {
  it('starts again with its flags, and with all that it was started with', () => {
    const flags = ['--inspect=127.0.0.1:0', '--max-old-space-size=512']
    expect(againWith({ processors: 1, flags, script })).toEqual([...ONE_PROCESSOR_FLAGS, ...flags, ...script])
  })

  it('does so once', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom('--enable-source-maps', '--cpu-prof', '--no-warnings')), flags => {
        const args = againWith({ processors: 1, flags, script })!
        const again = args.slice(0, args.length - script.length)
        expect(againWith({ processors: 1, flags: again, script })).toBeUndefined()
      }),
    )
  })

  it.each([
    '--single-threaded-gc',
    '--no-single-threaded-gc',
    '--single_threaded_gc',
    '--nosingle-threaded-gc',
    '--single-threaded',
  ])('leaves %s as it was chosen', flag => expect(againWith({ processors: 1, flags: [flag], script })).toBeUndefined())

  it('does not take another flag for that choice', () => {
    const flags = ['--no-single-threaded-gc-in-background']
    expect(againWith({ processors: 1, flags, script })).toEqual([...ONE_PROCESSOR_FLAGS, ...flags, ...script])
  })

  it('is the only one that does', () => {
    expect(againWith({ processors: 2, flags: [], script })).toBeUndefined()
    expect(againWith({ processors: 64, flags: [], script })).toBeUndefined()
  })
})
