import { cp, mkdir, readFile, rename, rm, symlink, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { Report } from '../../src/report/status.ts'
import {
  getJson,
  inParallel,
  MODELS,
  predict,
  routesOf,
  scratch,
  send,
  startGateway,
  type TestGateway,
  tumourRequest,
  understudy,
  until,
} from '../e2e/gateway.ts'
import { answerHalf, modelServer } from '../e2e/upstream.ts'

const body = JSON.stringify(tumourRequest())
const LIVE = { '1.0.0': { onnx: 'tumour-risk/1.0.0', weight: 100 } }
const route = (more: object = {}, versions: object = {}) => ({
  live: '1.0.0',
  versions: { ...LIVE, ...versions },
  compare: { output: 'probabilities', tolerance: { absolute: 0.05 } },
  ...more,
})
const works = async (gateway: TestGateway, model = 'risk') =>
  expect((await predict(gateway, model, body)).status).toBe(200)

/** Waits until the gateway has noticed an edit: a new revision, or a refusal. */
async function noticed(gateway: TestGateway, edit: () => Promise<unknown>) {
  const before = await gateway.status()
  await edit()
  return until(
    async () => {
      const now = await gateway.status()
      const { error } = now.configuration
      return now.revision !== before.revision || error !== before.configuration.error ? now : undefined
    },
    { what: () => `the edit to be noticed; log: ${gateway.log().slice(-500)}` },
  )
}

describe('an edit of routes.yaml', () => {
  it('50. that is wrong leaves the last good one in force, and is told with file:line:column in log, status and metric', async () => {
    const gateway = await startGateway({ routes: routesOf({ risk: route() }) })
    const broken =
      'routes:\n  risk:\n    live: 1.0.0\n    versions:\n      1.0.0: { onnx: tumour-risk/1.0.0, weight: 150 }\n'
    const status = await noticed(gateway, () => writeFile(gateway.routesFile, broken))
    expect(status.configuration.error).toMatch(/routes\.yaml:5:\d+ .*150/)
    expect(gateway.log()).toMatch(/routes\.yaml:5:\d+/)
    expect((await send(`${gateway.admin}/metrics`)).text).toMatch(
      /understudy_config_reload_total\{result="refused"\} [1-9]/,
    )
    await works(gateway)
    const repaired = await noticed(gateway, () =>
      writeFile(gateway.routesFile, routesOf({ risk: route(), again: route() })),
    )
    expect(repaired.configuration.error).toBeUndefined()
    await works(gateway, 'again')
    await gateway.stop()
  })

  it('50. that takes the file away leaves the last good one in force', async () => {
    const gateway = await startGateway({ routes: routesOf({ risk: route() }) })
    const status = await noticed(gateway, () => rm(gateway.routesFile))
    expect(status.configuration.error).toBeDefined()
    await works(gateway)
    await gateway.stop()
  })

  it('51. that is half written is never applied', async () => {
    const gateway = await startGateway({ routes: routesOf({ risk: route() }) })
    const text = routesOf({ risk: route(), more: route() })
    const status = await noticed(gateway, async () => {
      for (let at = 0; at < text.length; at += 40) {
        await writeFile(gateway.routesFile, text.slice(0, at + 40))
        await works(gateway)
      }
    })
    await until(async () => (await gateway.status()).routes.length === 2)
    expect(status.routes.map(({ name }) => name)).toContain('risk')
    await works(gateway, 'more')
    await gateway.stop()
  })

  it('52. is noticed by rename, by writing in place and by a Kubernetes symlink swap, twice each', async () => {
    const gateway = await startGateway({ routes: routesOf({ risk: route() }) })
    let names: string[] = ['risk']
    const content = (name: string) => {
      names = ['risk', name]
      return routesOf({ risk: route(), [name]: route() })
    }
    const shows = () =>
      until(
        async () => JSON.stringify((await gateway.status()).routes.map(({ name }) => name)) === JSON.stringify(names),
      )
    for (const name of ['renamed-1', 'renamed-2']) {
      await writeFile(join(gateway.folder, 'new.yaml'), content(name))
      await rename(join(gateway.folder, 'new.yaml'), gateway.routesFile)
      await shows()
    }
    for (const name of ['written-1', 'written-2']) {
      await writeFile(gateway.routesFile, content(name))
      await shows()
    }
    await gateway.stop()
  })

  it('52. in a mounted ConfigMap is noticed at the first and the second swap of ..data', async () => {
    const folder = await scratch()
    const publish = async (version: string, text: string) => {
      await mkdir(join(folder, version))
      await writeFile(join(folder, version, 'routes.yaml'), text)
      await symlink(version, join(folder, '..data_tmp'))
      await rename(join(folder, '..data_tmp'), join(folder, '..data'))
    }
    await publish('..1', routesOf({ risk: route() }))
    // A routes file that is a link: written by hand, as startGateway would write through it.
    const other = await startGateway({ routes: routesOf({ risk: route() }) })
    await rm(other.routesFile)
    await symlink(join(folder, '..data', 'routes.yaml'), other.routesFile)
    for (const [version, name] of [
      ['..2', 'second'],
      ['..3', 'third'],
    ] as const) {
      await publish(version, routesOf({ risk: route(), [name]: route() }))
      await until(async () => (await other.status()).routes.some(each => each.name === name), { what: () => name })
    }
    await other.stop()
  })

  it.each<[string, string]>([
    ['weights that do not sum to 100', '{ onnx: tumour-risk/1.0.0, weight: 99 }'],
    ['a negative weight', '{ onnx: tumour-risk/1.0.0, weight: -5 }'],
    ['a weight that is NaN', '{ onnx: tumour-risk/1.0.0, weight: .nan }'],
    ['an infinite weight', '{ onnx: tumour-risk/1.0.0, weight: .inf }'],
    ['a weight that is text', '{ onnx: tumour-risk/1.0.0, weight: "100" }'],
    ['weights that are all zero', '{ onnx: tumour-risk/1.0.0, weight: 0 }'],
    ['a duplicate key', '{ onnx: tumour-risk/1.0.0, weight: 100, weight: 100 }'],
    ['an unknown key', '{ onnx: tumour-risk/1.0.0, wieght: 100 }'],
    ['a tag', '{ onnx: !!binary dHVtb3Vy, weight: 100 }'],
    ['both an embedded model and an address', '{ onnx: tumour-risk/1.0.0, url: "http://127.0.0.1:1", weight: 100 }'],
    ['neither a model nor an address', '{ weight: 100 }'],
    ['a key of a later release', '{ onnx: tumour-risk/1.0.0, weight: 100, override: {} }'],
    ['an address that is no URL', '{ url: "not a url", weight: 100 }'],
  ])('53./54. %s: refused at start with exit 2 and file:line:column', async (_, version) => {
    const folder = await scratch()
    const file = join(folder, 'routes.yaml')
    await writeFile(
      file,
      `models: ${MODELS}\nroutes:\n  risk:\n    live: 1.0.0\n    versions:\n      1.0.0: ${version}\n`,
    )
    const served = await understudy([
      'serve',
      '--routes',
      file,
      '--state',
      join(folder, 's'),
      '--listen',
      '127.0.0.1:0',
    ])
    expect({ code: served.code, err: served.err }).toMatchObject({
      code: 2,
      err: expect.stringMatching(/routes\.yaml:\d+:\d+ /),
    })
    const validated = await understudy(['validate', '--routes', file])
    expect(validated.code).toBe(2)
  })

  it('54. an unknown key is refused with a suggestion', async () => {
    const file = join(await scratch(), 'routes.yaml')
    await writeFile(file, 'routes:\n  risk:\n    live: 1.0.0\n    versions:\n      1.0.0: { onnx: a/b, wieght: 100 }\n')
    expect((await understudy(['validate', '--routes', file])).err).toMatch(/5:\d+.*wieght.*weight/s)
  })

  it('54. a YAML bomb is refused quickly, and 010 is ten as in YAML 1.2', async () => {
    const folder = await scratch()
    const bomb = ['a: &a [x,x,x,x,x,x,x,x,x]']
    for (const [index, name] of [...'bcdefghi'].entries()) {
      const before = String.fromCharCode(97 + index)
      bomb.push(`${name}: &${name} [${new Array(9).fill(`*${before}`).join(',')}]`)
    }
    const file = join(folder, 'bomb.yaml')
    await writeFile(file, `${bomb.join('\n')}\nroutes: *i\n`)
    const startedAt = performance.now()
    expect((await understudy(['validate', '--routes', file])).code).toBe(2)
    expect(performance.now() - startedAt).toBeLessThan(10_000)

    const gateway = await startGateway({
      routes: `models: ${MODELS}\ndrain: { delay: 0ms }\nroutes:\n  risk:\n    live: 1.0.0\n    versions:\n      1.0.0: { onnx: tumour-risk/1.0.0, weight: 100 }\n      1.1.0: { onnx: tumour-risk/1.1.0, shadow: 010 }\n`,
    })
    const { versions } = (await gateway.status()).routes[0]!
    expect(versions.find(({ version }) => version === '1.1.0')!.shadowPercent).toBe(10)
    await gateway.stop()
  })

  it('54. __proto__ and constructor as names of routes and versions touch no prototype', async () => {
    const folder = await scratch()
    const file = join(folder, 'routes.yaml')
    await writeFile(
      file,
      `models: ${MODELS}\nroutes:\n  __proto__: { polluted: true }\n  risk:\n    live: 1.0.0\n    versions:\n      __proto__: { weight: 100 }\n      1.0.0: { onnx: tumour-risk/1.0.0, weight: 100 }\n`,
    )
    expect((await understudy(['validate', '--routes', file])).code).toBe(2)
  })
})

describe('a model file', () => {
  it.each<[string, (file: string) => Promise<unknown>]>([
    ['deleted', file => rm(file)],
    ['truncated', file => truncate(file, 100)],
    ['overwritten with noise', file => writeFile(file, Buffer.alloc(5_000, 'x'))],
  ])('55. that is %s while it serves: the old session serves on, also over a reload', async (_, damage) => {
    const models = await scratch()
    await cp(join(MODELS, 'tumour-risk'), join(models, 'tumour-risk'), { recursive: true })
    const gateway = await startGateway({ routes: routesOf({ risk: route() }, { models }) })
    const before = await predict(gateway, 'risk', body)
    await damage(join(models, 'tumour-risk/1.0.0/model.onnx'))
    await works(gateway)
    const status = await noticed(gateway, () =>
      writeFile(gateway.routesFile, routesOf({ risk: route({ limits: { body: '1MiB' } }) }, { models })),
    )
    expect(status.ready).toBe(true)
    expect((await predict(gateway, 'risk', body)).json).toEqual(before.json)
    await gateway.stop()
  })
})

describe('reloading under load', () => {
  it('58. sixty edits, half of them invalid: no request fails, none sees two configurations', {
    timeout: 90_000,
  }, async () => {
    // The route's live version alternates between two byte-equal entries with different body limits and shadow shares.
    const content = (number: number) =>
      number % 2 === 1
        ? `routes: { risk: { live: 1.0.0, versions: { 1.0.0: { onnx: x, weight: ${number} } } } }`
        : routesOf({
            risk: route(
              { limits: { body: number % 4 === 0 ? '1MiB' : '2MiB' } },
              {
                '1.1.0': { onnx: 'tumour-risk/1.1.0', shadow: number },
              },
            ),
          })
    const gateway = await startGateway({ routes: content(0), threads: 2 })
    let editing = true
    let asked = 0
    const failures: unknown[] = []
    const load = inParallel(8, 8, async () => {
      while (editing) {
        const { status, json, headers, text } = await predict(gateway, 'risk', body)
        asked++
        if (status !== 200 || json.model_version !== headers['x-understudy-version']) failures.push({ status, text })
      }
    })
    for (let number = 1; number <= 60; number++) {
      await noticed(gateway, () => writeFile(gateway.routesFile, content(number)))
    }
    editing = false
    await load
    expect(failures).toEqual([])
    expect(asked).toBeGreaterThan(500)
    const status = await gateway.status()
    expect(status.routes[0]!.versions.find(({ version }) => version === '1.1.0')!.shadowPercent).toBe(60)
    expect((await gateway.stop()).code).toBe(0)
  })

  it('58. a shadow whose settings are edited is compared on', async () => {
    const content = (shadow: unknown) =>
      routesOf({ risk: route({}, { '1.1.0': { onnx: 'tumour-risk/1.1.0', shadow } }) })
    const gateway = await startGateway({ routes: content(100) })
    const account = async () => ((await getJson(`${gateway.admin}/v1/routes/risk/report`)) as Report).account
    let sent = 0
    for (const shadow of [{ percent: 100, batch: 4 }, { percent: 100, wait: '5ms' }, 100]) {
      for (let request = 0; request < 10; request++, sent++) await works(gateway)
      await until(async () => (await account()).eligible >= sent && (await account()).inFlight === 0)
      await noticed(gateway, () => writeFile(gateway.routesFile, content(shadow)))
    }
    for (let request = 0; request < 10; request++, sent++) await works(gateway)
    const last = await until(async () => {
      const each = await account()
      return each.eligible >= sent && each.inFlight === 0 ? each : undefined
    })
    expect(last).toMatchObject({ compared: sent, failed: { candidate_error: 0 } })
    await gateway.stop()
  })

  it('58. two routes over the same model bytes: taking one route away leaves the other’s shadow at work', async () => {
    const both = (names: readonly string[]) =>
      routesOf(
        Object.fromEntries(
          names.map(name => [name, route({}, { '1.1.0': { onnx: 'tumour-risk/1.1.0', shadow: 100 } })]),
        ),
      )
    const gateway = await startGateway({ routes: both(['risk', 'other']) })
    await works(gateway, 'other')
    await noticed(gateway, () => writeFile(gateway.routesFile, both(['risk'])))
    for (let request = 0; request < 10; request++) await works(gateway)
    const account = await until(async () => {
      const each = ((await getJson(`${gateway.admin}/v1/routes/risk/report`)) as Report).account
      return each.eligible === 10 && each.inFlight === 0 ? each : undefined
    })
    expect(account.compared).toBe(10)
    expect((await predict(gateway, 'other', body)).status).toBe(404)
    await gateway.stop()
  })

  it('59. an HTTP version that is removed while it is in use finishes its requests', async () => {
    let answer: (() => void) | undefined
    const slow = await modelServer((received, response) => {
      answer = () => answerHalf(received, response)
    })
    const other = await modelServer()
    const content = (url: string) => routesOf({ risk: { live: '1.0.0', versions: { '1.0.0': { url, weight: 100 } } } })
    const gateway = await startGateway({ routes: content(slow.url) })
    const underWay = predict(gateway, 'risk', body)
    await until(() => answer)
    await noticed(gateway, () => writeFile(gateway.routesFile, content(other.url)))
    await works(gateway)
    expect(other.received).toHaveLength(1)
    answer!()
    expect((await underWay).status).toBe(200)
    await gateway.stop()
  })
})

describe('what stays as it was', () => {
  it('the file itself is never touched by a gateway that is not asked to promote', async () => {
    const text = `# a comment\n${routesOf({ risk: route() })}\n# another\n`
    const gateway = await startGateway({ routes: text })
    await works(gateway)
    await gateway.stop()
    expect(await readFile(gateway.routesFile, 'utf8')).toBe(text)
  })
})
