import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { addressedAt, KnownAddresses } from '../../src/serving/addresses.ts'
import type { Runtime, RuntimeRoute } from '../../src/serving/runtime.ts'

const route = (name: string) =>
  ({ snapshot: { name, versions: [] }, versions: [{ snapshot: { version: '1' } }] }) as unknown as RuntimeRoute
const runtimeOf = (...names: readonly string[]): Pick<Runtime, 'routes' | 'paths'> => ({
  routes: new Map(names.map(name => [name, route(name)])),
  paths: new Map([['/own', route('own')]]),
})
const runtime = runtimeOf('a', 'b', 'c')

describe('addresses that are remembered', () => {
  const name = fc.constantFrom('a', 'b', 'a%2Fb', '%', '', 'x'.repeat(300))
  const address = fc.oneof(
    fc.tuple(name, name).map(([model, query]) => `/v2/models/${model}/infer${query && `?${query}`}`),
    name.map(model => `/v1/models/${model}:predict`),
    fc.constantFrom('/own', '/own?a=b', '/invocations', '/owned'),
    fc.webPath(),
  )

  it.each([2, 4, 1_024])('say what they would say unremembered, in %i places', places => {
    fc.assert(
      fc.property(fc.array(address, { maxLength: 40 }), addresses => {
        const known = new KnownAddresses(runtime, places)
        for (const each of addresses) expect(known.at(each)).toEqual(addressedAt(each, runtime))
      }),
    )
  })

  it('are read once, until two others come to their places, and those of a long query each time', () => {
    const known = new KnownAddresses(runtime, 2)
    const first = known.at('/v2/models/a/infer')
    expect(known.at('/v2/models/a/infer')).toBe(first)
    const long = `/v2/models/a/infer?${'q'.repeat(300)}`
    expect(known.at(long)).not.toBe(known.at(long))
    expect(known.at('/v2/models/a/ready')).toBeUndefined()
    expect(known.at('/v2/models/a/infer'), 'what asks for no prediction takes no place').toBe(first)
    const second = known.at('/v2/models/b/infer')
    expect(known.at('/v2/models/a/infer')).toBe(first)
    expect(known.at('/v2/models/b/infer')).toBe(second)
    const third = known.at('/v2/models/c/infer')
    expect(known.at('/v2/models/c/infer')).toBe(third)
    // Asked for in this order neither drives the other out before it is looked at.
    const standing = [known.at('/v2/models/a/infer') === first, known.at('/v2/models/b/infer') === second]
    expect(standing, 'of three one has gone, at least').not.toEqual([true, true])
  })

  it.each(['/v2/models/who/infer', '/v2/models/a/versions/9/infer', '/v2/models/a/infer?q=1', '/invocations'])(
    'are not those of strangers’ making: %s',
    url => {
      const known = new KnownAddresses(runtime)
      expect(known.at(url)).toEqual(addressedAt(url, runtime))
      expect(known.at(url)).not.toBe(known.at(url))
      const version = known.at('/v2/models/a/versions/1/infer')
      expect(known.at('/v2/models/a/versions/1/infer'), 'one of ours').toBe(version)
    },
  )

  it('are nearly all read once where ten thousand routes are asked in turn', () => {
    const names = Array.from({ length: 10_000 }, (_, index) => `m${index}`)
    const known = new KnownAddresses(runtimeOf(...names))
    const addresses = names.map(name => `/v2/models/${name}/infer`)
    const read = addresses.map(each => known.at(each))
    const again = addresses.filter((each, index) => known.at(each) !== read[index])
    expect(again.length).toBeLessThan(500)
  })

  it('name the route that answers, by its name or by a path of its own', () => {
    const known = new KnownAddresses(runtime)
    expect(known.at('/v2/models/a/infer')).toMatchObject({
      route: runtime.routes.get('a'),
      asked: { model: 'a', protocol: 'v2' },
    })
    expect(known.at('/v1/models/a:predict')?.route).toBe(runtime.routes.get('a'))
    expect(known.at('/v2/models/d/infer'), 'asked for, and not there').toMatchObject({ route: undefined })
    expect(known.at('/own?a=b')).toMatchObject({
      route: runtime.paths.get('/own'),
      asked: { model: undefined, path: '/own', query: '?a=b' },
    })
    expect(known.at('/invocations'), 'a path of every gateway').toMatchObject({ route: undefined })
    expect(known.at('/owned')).toBeUndefined()
  })
})
