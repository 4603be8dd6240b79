import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { hashBytes, loadRoutes, parseEntry, parseRoutes } from '../../src/config/load.ts'
import { UnderstudyError } from '../../src/errors.ts'

/** The problems of a text, a line each. */
function problemsOf(text: string, env: Record<string, string> = {}): string[] {
  try {
    parseRoutes(text, '/some/where/routes.yaml', env)
    return []
  } catch (error) {
    if (!(error instanceof UnderstudyError) || error.code !== 'BAD_CONFIGURATION') throw error
    return error.message.split('\n')
  }
}

/** A file with one route; `keys` are lines of it and start at line 4, column 5. */
const routeWith = (...keys: string[]) => `routes:\n  m:\n    live: 1.0.0\n${keys.map(key => `    ${key}\n`).join('')}`
const ONE = 'versions: { 1.0.0: { onnx: a, weight: 100 } }'
const withRoute = (key: string) => problemsOf(routeWith(key, ONE))
const withVersion = (entry: string) =>
  problemsOf(routeWith('versions:', '  1.0.0: { onnx: a, weight: 100 }', `  1.1.0: ${entry}`))
const withTop = (line: string) => problemsOf(`${line}\n${routeWith(ONE)}`)

describe('a routes file', () => {
  test('that is empty, no map, or has no route is refused', () => {
    expect(problemsOf('')).toEqual(['routes.yaml:1:1 expected a map, got nothing'])
    expect(problemsOf('# nothing\n')[0]).toMatch(/expected a map, got nothing$/)
    expect(problemsOf('- a')).toEqual(['routes.yaml:1:1 expected a map, got a list'])
    expect(problemsOf('listen: 127.0.0.1:1')).toEqual(['routes.yaml:1:1 missing key `routes`: expected a map'])
    expect(problemsOf('routes: {}')).toEqual(['routes.yaml:1:9 expected at least one route'])
    expect(problemsOf('routes:\n  m:\n')).toEqual(['routes.yaml:2:5 expected a map, got nothing'])
  })

  test('with one version is enough, and every default is filled in', () => {
    const config = parseRoutes(routeWith(ONE), 'routes.yaml', {})
    expect(config).toMatchObject({
      listen: { host: '127.0.0.1', port: 8080 },
      admin: { listen: { host: '127.0.0.1', port: 9090 } },
      models: './models',
      mirror: { ring: 32 * 1024 ** 2, bodyBytes: 1024 ** 2 },
      drain: { delay: 1000, deadline: 15_000 },
    })
    expect(config.routes.m).toMatchObject({
      gate: {
        unproven: 1,
        exposure: { requests: 1000, for: 3_600_000, atMost: 14 * 86_400_000 },
        latency: { p99: 1.25, slack: 1 },
      },
      rollout: { steps: [5, 25, 50, 100], mode: 'manual', write: 'file' },
      versions: {
        '1.0.0': { deadline: 10_000, connect: 1000, shadow: { percent: 0, batch: 32, wait: 20, deadline: 5000 } },
      },
    })
  })

  test('has all its problems listed at once, in the order of the file', () => {
    const text = `listn: a
routes:
  m:
    live: 2.0.0
    versions:
      1.0.0: { onnx: a, wieght: 5 }
      1.1.0: { onnx: ../b, url: http://a, weight: 150 }
    expect: chnge
    rollout: { mode: automatic }
  n:
    live: 1.0.0
    versions: { 1.0.0: { onnx: a, weight: 40 }, 1.1.0: { onnx: a, weight: 50 } }
`
    expect(problemsOf(text)).toEqual([
      'routes.yaml:1:1 unknown key `listn`, did you mean `listen`?',
      'routes.yaml:4:11 expected one of the versions (1.0.0, 1.1.0), got 2.0.0',
      'routes.yaml:6:25 unknown key `wieght`, did you mean `weight`?',
      'routes.yaml:7:22 expected a folder under `models`, without `..` and not absolute',
      'routes.yaml:7:28 expected either `onnx` or `url`, got both',
      'routes.yaml:7:51 expected a percentage between 0 and 100, got 150',
      'routes.yaml:8:13 expected same, change, got "chnge"',
      'routes.yaml:9:22 expected manual, auto, got "automatic"',
      'routes.yaml:12:5 expected weights that sum to 100, got 90',
    ])
  })
})

describe('as YAML', () => {
  test('it is refused at the place of a syntax error', () => {
    expect(problemsOf('routes: [1')[0]).toMatch(/^routes.yaml:1:\d+ /)
    expect(problemsOf('a: b\n\tc: d')[0]).toMatch(/^routes.yaml:2:\d+ /)
  })

  test('it may not name a key twice', () => {
    expect(withRoute('live: 1.0.0')).toEqual(['routes.yaml:4:5 duplicate key `live`'])
    const version = '{ onnx: a, weight: 100, onnx: b, "onnx": c }'
    expect(problemsOf(routeWith(`versions: { 1.0.0: ${version} }`))).toEqual([
      'routes.yaml:4:48 duplicate key `onnx`',
      'routes.yaml:4:57 duplicate key `"onnx"`',
    ])
    const twice = routeWith(ONE).replace('routes:\n', 'routes:\n  m: &all { live: 1.0.0 }\n')
    expect(problemsOf(`${twice}models: a\nmodels: b\n`)).toEqual(
      expect.arrayContaining(['routes.yaml:3:3 duplicate key `m`', 'routes.yaml:7:1 duplicate key `models`']),
    )
  })

  test('it may have ten thousand routes of two versions', () => {
    const route = (index: number) =>
      `  m${index}: { live: 1.0.0, versions: { 1.0.0: { onnx: a, weight: 100, deadline: 1s }, 1.1.0: { onnx: b } } }\n`
    const text = `routes:\n${Array.from({ length: 10_000 }, (_, index) => route(index)).join('')}`
    expect(problemsOf(text)).toEqual([])
    expect(problemsOf(`${text}${route(9_999)}`)).toEqual(['routes.yaml:10002:3 duplicate key `m9999`'])
  })

  test('version numbers that YAML reads as numbers are refused with advice', () => {
    for (const version of ['1', '1.0', '1.10', '0x10', '1e3'])
      expect(problemsOf(routeWith(`versions: { 1.0.0: { onnx: a, weight: 100 }, ${version}: { onnx: b } }`))).toEqual([
        `routes.yaml:4:50 expected a string as key, got ${version}, which YAML reads as something else: quote it and write all three parts of a semantic version, such as "1.10.0"`,
      ])
    expect(problemsOf(routeWith(ONE).replace('live: 1.0.0', 'live: 1.10'))[0]).toBe(
      'routes.yaml:3:11 expected a version string such as 1.4.0-rc.1 (quote it)',
    )
  })

  test('version numbers are full semantic versions, in one spelling only', () => {
    for (const version of ['"1.10"', 'v1.0.0', '01.0.0', '1.0.0.0', 'latest', '"1.0.0 "'])
      expect(
        problemsOf(routeWith(`versions: { 1.0.0: { onnx: a, weight: 100 }, ${version}: { onnx: b } }`))[0],
      ).toMatch(/4:50 expected a semantic version such as/)
    expect(
      problemsOf(routeWith('versions: { 1.0.0: { onnx: a, weight: 100 }, 1.4.0-rc.1+cpu.2: { onnx: b } }')),
    ).toEqual([])
  })

  test('it is read as YAML 1.2: 010 is ten, yes is text, and no directive changes that', () => {
    expect(parseRoutes(routeWith(ONE, 'limits: { depth: 010 }'), 'r', {}).routes.m!.limits.depth).toBe(10)
    expect(withVersion('{ onnx: b, mirrorable: yes }')).toEqual(['routes.yaml:6:37 expected true or false, got "yes"'])
    expect(problemsOf(`%YAML 1.1\n---\n${routeWith(ONE)}`)).toEqual(['routes.yaml:1:1 expected YAML 1.2, got YAML 1.1'])
    expect(problemsOf(`${routeWith(ONE)}---\na: b\n`)).toHaveLength(1)
  })

  test('it has no tags of its own, merge keys or map keys', () => {
    expect(withVersion('{ onnx: !secret b }')[0]).toMatch(/^routes.yaml:6:22 Unresolved tag: !secret/)
    expect(
      problemsOf(`x: &x { onnx: b }\n${routeWith('versions: { 1.0.0: { <<: *x, onnx: a, weight: 100 } }')}`).join(),
    ).toContain('unknown key `<<`')
    expect(problemsOf('? { a: b }\n: c\n')).toContain('routes.yaml:1:3 expected a string as key')
  })

  test('aliases work, and bombs of them are refused at once', () => {
    const shared = routeWith(
      'versions: { 1.0.0: { onnx: a, weight: 100, deadline: &d 3s }, 1.1.0: { onnx: b, deadline: *d } }',
    )
    expect(parseRoutes(shared, 'r', {}).routes.m!.versions['1.1.0']!.deadline).toBe(3000)
    const level = (name: string, of: string) => `${name}: &${name} [${Array(10).fill(of).join(', ')}]\n`
    const bomb = level('a', 'x') + level('b', '*a') + level('c', '*b') + level('d', '*c') + level('e', '*d')
    expect(problemsOf(bomb)).toEqual([
      'routes.yaml:1:1 expected at most 200 aliases, which stand for 100000 values at most',
    ])
    const large = `${level('a', 'x').replace('[', `[${'x, '.repeat(1_000)}`)}b: [${Array(150).fill('*a').join(', ')}]\n`
    expect(problemsOf(large)).toEqual([
      'routes.yaml:1:1 expected at most 200 aliases, which stand for 100000 values at most',
    ])
    const tooDeep = ['routes.yaml:1:1 expected a document of at most 64 levels']
    expect(problemsOf('a: &a [*a]')).toEqual(tooDeep)
    expect(problemsOf(`a: ${'['.repeat(5000)}${']'.repeat(5000)}`)).toEqual(tooDeep)
    expect(problemsOf('a: *nobody').join()).toMatch(/nobody/)
  })

  test('__proto__ and constructor are keys like any other', () => {
    expect(problemsOf(`__proto__: { x: 1 }\n${routeWith(ONE)}`)).toEqual(['routes.yaml:1:1 unknown key `__proto__`'])
    expect(problemsOf(`routes: { __proto__: { live: 1.0.0 }, m: { live: 1.0.0, ${ONE} } }`)).toEqual([
      'routes.yaml:1:11 unknown key `__proto__`',
    ])
    expect(withTop('constructor: 1')[0]).toMatch(/unknown key `constructor`/)
    expect(({} as Record<string, unknown>).x).toBeUndefined()
  })
})

describe('a reference', () => {
  const dollar = (text: string) => `\${${text}}`

  test('to the environment is typed as YAML would type it', () => {
    const text = routeWith(`versions: { 1.0.0: { onnx: "${dollar('env:DIR')}", weight: "${dollar('env:W')}" } }`)
    expect(parseRoutes(text, 'r', { DIR: 'a', W: '100' }).routes.m!.versions['1.0.0']).toMatchObject({
      onnx: 'a',
      weight: 100,
    })
    expect(parseRoutes(text, 'r', { DIR: '"5"', W: '1e2' }).routes.m!.versions['1.0.0']).toMatchObject({
      onnx: '5',
      weight: 100,
    })
    expect(problemsOf(text, { DIR: 'a', W: '"100"' })).toEqual([
      'routes.yaml:4:54 expected a percentage between 0 and 100, got "100"',
    ])
    expect(problemsOf(text, { DIR: '{ b: c }', W: '{}' })).toHaveLength(1)
  })

  test('that is not set, not whole or not there is refused in its place, once', () => {
    const weight = (value: string) => problemsOf(routeWith(`versions: { 1.0.0: { onnx: a, weight: "${value}" } }`))
    expect(weight(dollar('env:NO'))).toEqual(['routes.yaml:4:43 the environment variable NO is not set'])
    expect(weight(`1${dollar('env:NO')}`)).toEqual([
      'routes.yaml:4:43 expected an env or file reference to be the whole value',
    ])
    expect(weight(dollar('file:no/such'))).toEqual(['routes.yaml:4:43 the file no/such cannot be read (ENOENT)'])
  })
})

describe('an unknown key', () => {
  test.each([
    ['top', withTop('admn: {}'), '1:1 unknown key `admn`, did you mean `admin`?'],
    ['nested', withTop('admin: { lisen: a }'), '1:10 unknown key `lisen`, did you mean `listen`?'],
    [
      'behind a default',
      withRoute('gate: { exposure: { requestz: 5 } }'),
      '4:25 unknown key `requestz`, did you mean `requests`?',
    ],
    [
      'in one form of several',
      withVersion('{ onnx: b, shadow: { percnt: 5 } }'),
      '6:35 unknown key `percnt`, did you mean `percent`?',
    ],
    ['in a choice of maps', withRoute('sticky: { heder: x }'), '4:15 unknown key `heder`, did you mean `header`?'],
    [
      'far from every other',
      withRoute('zzzzzz: 1'),
      '4:5 unknown key `zzzzzz`, expected one of live, versions, path, sticky, force, compare, expect, spans, labels, gate, rollout, limits, notify',
    ],
  ])('%s is refused with what was meant', (_, problems, expected) => {
    expect(problems).toEqual([`routes.yaml:${expected}`])
  })
})

describe('a protocol', () => {
  test.each([
    ['tensorflow', '6:41 got "tensorflow", did you mean v1?'],
    ['kserve', '6:41 got "kserve", did you mean v2?'],
    ['sagemaker', '6:41 got "sagemaker", did you mean json?'],
    ['mlfow', '6:41 got "mlfow", did you mean mlflow?'],
    ['grpc', '6:41 protocol grpc is not supported'],
  ])('%s is refused with what was meant', (protocol, expected) => {
    expect(withVersion(`{ url: http://a, protocol: ${protocol} }`)).toEqual([`routes.yaml:${expected}`])
  })

  const passed = (route: string) => problemsOf(`routes:\n  m:\n    live: 1.0.0\n${route}`)
  const version = '    versions:\n      1.0.0: { url: http://a, protocol: json, weight: 100'

  test('json needs a path at which predictions are asked for', () => {
    expect(passed(`${version} }`)).toEqual([
      'routes.yaml:2:3 expected `path`, where predictions of protocol json are asked for',
    ])
    expect(passed(`    path: /score\n${version} }`)).toEqual([])
  })

  test('json is spoken by all versions of a route or by none, and renames nothing', () => {
    expect(passed(`    path: /score\n${version} }\n      1.1.0: { url: http://b, weight: 0 }`)).toEqual([
      'routes.yaml:7:7 expected protocol json as of the other versions: what is passed through unread cannot be translated',
    ])
    expect(passed(`    path: /score\n${version}, rename: { inputs: { a: b } } }`)).toEqual([
      'routes.yaml:6:60 `rename` is for protocols that name their tensors, not for json',
    ])
  })

  test.each([
    ['v2', 'expected a path such as /invocations, without a query'],
    ['/a?b=c', 'expected a path such as /invocations, without a query'],
    ['/a/../b', 'expected a path without . and .. segments'],
    ['/v2/models/m/infer', '/v2/models/m/infer is a path of the gateway itself'],
    ['/livez', '/livez is a path of the gateway itself'],
  ])('a path such as %s is refused', (path, expected) => {
    expect(passed(`    path: ${path}\n${version} }`)).toEqual([`routes.yaml:4:11 ${expected}`])
  })

  test('a path leads to one route', () => {
    const one = (name: string) => `  ${name}:\n    live: 1.0.0\n    path: /score\n${version} }\n`
    expect(problemsOf(`routes:\n${one('a')}${one('b')}`)).toEqual([
      'routes.yaml:9:11 expected a path of its own: /score belongs to a',
    ])
  })
})

describe('not supported yet', () => {
  test.each([
    [withRoute('fallback: 1.0.0'), '4:5 fallback is not supported yet'],
    [withRoute('compare: { kind: text }'), '4:22 compare kind text is not supported yet'],
    [
      withRoute('compare: { output: [{ output: a, kind: embedding }] }'),
      '4:44 compare kind embedding is not supported yet',
    ],
    [withRoute('compare: { tolerance: { cosine: 1 } }'), '4:29 compare.tolerance.cosine is not supported yet'],
    [withRoute('limits: { perClient: 5/s }'), '4:15 limits.perClient is not supported yet'],
  ])('is said of %s', (problems, expected) => {
    expect(problems).toEqual([`routes.yaml:${expected}`])
  })

  test('is not said of what will never be: that is just wrong', () => {
    expect(withVersion('{ url: http://a, protocol: gopher }')).toEqual([
      'routes.yaml:6:41 expected v2, v1, mlflow, json, got "gopher"',
    ])
  })
})

describe('weights', () => {
  const weights = (...values: string[]) =>
    problemsOf(routeWith('versions:', ...values.map((value, at) => `  1.${at}.0: { onnx: a, weight: ${value} }`)))

  test('must sum to 100', () => {
    expect(weights('90', '5')).toEqual(['routes.yaml:4:5 expected weights that sum to 100, got 95'])
    expect(weights('100', '5')).toEqual(['routes.yaml:4:5 expected weights that sum to 100, got 105'])
    expect(weights('0', '0')).toEqual(['routes.yaml:4:5 expected weights that sum to 100, got 0'])
    expect(weights('33.3', '33.3', '33.4')).toEqual([])
    expect(weights('99.9', '0.1')).toEqual([])
  })

  test('are between 0 and 100, and numbers', () => {
    for (const wrong of ['-1', '101', '.nan', '.inf', '-.inf', 'many', '[]', '~'])
      expect(weights('100', wrong)[0]).toMatch(
        /^routes.yaml:6:33 expected (a percentage between 0 and 100, got |nothing)/,
      )
  })

  test('and live must name a version', () => {
    expect(problemsOf(routeWith(ONE).replace('live: 1.0.0', 'live: 2.0.0'))).toEqual([
      'routes.yaml:3:11 expected one of the versions (1.0.0), got 2.0.0',
    ])
    expect(problemsOf(routeWith('versions: {}'))).toContain('routes.yaml:4:5 expected at least one version')
  })
})

describe('a version', () => {
  test('is embedded or behind HTTP, never both or neither', () => {
    expect(withVersion('{}')).toEqual(['routes.yaml:6:7 expected `onnx`, `url` or `traced`'])
    expect(withVersion('{ onnx: a, url: http://a }')).toEqual([
      'routes.yaml:6:25 expected either `onnx` or `url`, got both',
    ])
    expect(withVersion('{ onnx: a, protocol: v2 }')).toEqual([
      'routes.yaml:6:25 `protocol` is for HTTP versions (url) only',
    ])
  })

  test('has its model under the models folder', () => {
    for (const path of ['/etc/m', '../m', 'a/../../m', 'C:\\m', '\\\\host\\m', 'a\\..\\m'])
      expect(withVersion(`{ onnx: '${path}' }`)).toEqual([
        'routes.yaml:6:22 expected a folder under `models`, without `..` and not absolute',
      ])
    expect(withVersion('{ onnx: a..b/c }')).toEqual([])
  })

  test('is not at a link-local address, however that is written', () => {
    for (const host of [
      '169.254.169.254',
      '0xA9FEA9FE',
      '2852039166',
      '169.254.1',
      '[fe80::1]',
      '[::ffff:169.254.169.254]',
      '[64:ff9b::a9fe:a9fe]',
      '[fd00:ec2::254]',
    ])
      expect(withVersion(`{ url: 'http://${host}/' }`)).toHaveLength(1)
    expect(withVersion("{ url: ['http://10.0.0.1', 'http://169.254.0.1'] }")[0]).toMatch(
      /^routes.yaml:6:41 expected an address that is not link-local, got 169.254.0.1$/,
    )
    expect(withVersion("{ url: 'http://[fd00::1]:9001' }")).toEqual([])
  })

  test('has an http address without credentials', () => {
    for (const url of ['ftp://a', 'file:///etc/passwd', 'a:9001', '//a'])
      expect(withVersion(`{ url: '${url}' }`)).toHaveLength(1)
    expect(withVersion('{ url: http://me:secret@a }')).toEqual([
      'routes.yaml:6:21 expected an address without user name and password',
    ])
  })

  test('behind HTTP is mirrored only when that is said to be harmless', () => {
    expect(withVersion('{ url: http://a, shadow: 100 }')[0]).toMatch(/^routes.yaml:6:39 expected `mirrorable: true`/)
    expect(withVersion('{ url: http://a, shadow: { percent: 1 }, mirrorable: false }')).toHaveLength(1)
    expect(withVersion('{ url: http://a, shadow: {} }')).toHaveLength(1)
    expect(withVersion('{ url: http://a, shadow: 0 }')).toEqual([])
    expect(withVersion('{ url: http://a, shadow: 100, mirrorable: true }')).toEqual([])
    expect(withVersion('{ onnx: a, shadow: 100 }')).toEqual([])
    expect(withVersion('{ onnx: a, shadow: 100, mirrorable: false }')).toHaveLength(1)
  })

  test('has durations, rates and percents with their units', () => {
    for (const wrong of [
      'shadow: 101',
      'shadow: { max: 50 }',
      'shadow: { max: 0/s }',
      'shadow: { wait: 20 }',
      'deadline: 10',
      'deadline: 10 s',
      'deadline: -1s',
      'shadow: { batch: 1.5 }',
    ])
      expect(withVersion(`{ onnx: a, ${wrong} }`)).toHaveLength(1)
    expect(
      parseRoutes(routeWith('versions: { 1.0.0: { onnx: a, weight: 100, shadow: { max: 3000/m } } }'), 'r', {}).routes
        .m!.versions['1.0.0']!.shadow.max,
    ).toBe(50)
  })
})

describe('a route', () => {
  test('has steps that grow and end at 100', () => {
    expect(withRoute('rollout: { steps: [5, 5, 100] }')).toEqual([
      'routes.yaml:4:27 expected steps that grow, got 5 after 5',
    ])
    expect(withRoute('rollout: { steps: [50, 5, 100] }')).toHaveLength(1)
    expect(withRoute('rollout: { steps: [5, 50] }')).toEqual(['routes.yaml:4:27 expected 100 as the last step, got 50'])
    for (const wrong of ['[]', '[0, 100]', '[5, 101]', '5', '[.nan, 100]'])
      expect(withRoute(`rollout: { steps: ${wrong} }`)).toHaveLength(1)
    expect(withRoute('rollout: { steps: [100] }')).toEqual([])
  })

  test('has a loss that its compared kind can have, where that is known', () => {
    const loss = (name: string, compare: string) =>
      problemsOf(routeWith(`compare: { ${compare} }`, `labels: { loss: ${name} }`, ONE))
    expect(loss('brier', 'kind: label')).toEqual([
      'routes.yaml:5:21 expected zero-one for compare kind label, got brier',
    ])
    expect(loss('absolute', 'kind: probabilities')).toHaveLength(1)
    expect(loss('zero-one', 'kind: number')).toHaveLength(1)
    expect(loss('zero-one', 'kind: number, tolerance: { threshold: 0.5 }')).toEqual([])
    expect(loss('logloss', 'output: [{ output: p, kind: ranking }]')).toHaveLength(1)
    for (const name of ['brier', 'absolute', 'zero-one']) expect(loss(name, 'output: p')).toEqual([])
    expect(withRoute('labels: {}')[0]).toMatch(
      /^routes.yaml:4:15 missing key `loss`|^routes.yaml:4:5 missing key `loss`/,
    )
  })

  test('has each segment field once, four at most, and no characters that name counters', () => {
    expect(withRoute('compare: { segments: [a, { bucket: a, by: 1 }] }')).toEqual([
      'routes.yaml:4:30 expected each field once, got a again',
    ])
    expect(withRoute('compare: { segments: [a, b, c, d, e] }')).toHaveLength(1)
    expect(withRoute('compare: { segments: [{ bucket: a, by: 0 }] }')).toHaveLength(1)
    expect(withRoute('compare: { segments: ["a@b"] }')).toHaveLength(1)
    expect(withRoute('compare: { segments: [a, { bucket: b, by: 0.5 }] }')).toEqual([])
  })

  test('has a name that can stand in a URL', () => {
    for (const name of ['<script>', 'a/b', '"a b"', '.hidden', '""', '"../x"'])
      expect(problemsOf(`routes: { ${name}: { live: 1.0.0, ${ONE} } }`)[0]).toMatch(
        /^routes.yaml:1:11 expected a name of letters/,
      )
  })

  test('has gate limits that can decide something', () => {
    for (const wrong of [
      'disagreement: 0',
      'disagreement: 1',
      'errors: { ratio: 1 }',
      'errors: { floor: 0 }',
      'latency: { p99: 0.9 }',
      'drops: 2',
      'unproven: 101',
      'exposure: { requests: -1 }',
    ])
      expect(withRoute(`gate: { ${wrong} }`)).toHaveLength(1)
  })
})

describe('listeners', () => {
  test('of the admin API off loopback need a token', () => {
    for (const host of ['0.0.0.0', '', '10.0.0.1', '[::]', 'example.org', '127.0.0.1.example.org'])
      expect(withTop(`admin: { listen: '${host}:9090' }`)).toEqual([
        'routes.yaml:1:18 expected a loopback address, or an `admin.token` beside it',
      ])
    for (const host of ['127.0.0.1', '127.1.2.3', '[::1]', 'localhost'])
      expect(withTop(`admin: { listen: '${host}:9090' }`)).toEqual([])
    expect(withTop("admin: { listen: '0.0.0.0:9090', token: sixteen-or-more-characters }")).toEqual([])
    expect(withTop("admin: { listen: '0.0.0.0:9090', token: short }")).toHaveLength(1)
  })

  test('have a host and a port', () => {
    for (const wrong of ['8080', 'a:b', ':', 'a:99999', '::1:80']) expect(withTop(`listen: '${wrong}'`)).toHaveLength(1)
  })
})

describe('positions', () => {
  test('count from 1, with Windows line ends and a byte order mark too', () => {
    const text = routeWith('expect: chnge', ONE)
    expect(problemsOf(text.replaceAll('\n', '\r\n'))).toEqual(problemsOf(text))
    expect(problemsOf(`\uFEFF${text}`)).toEqual(problemsOf(text))
  })

  test('of a missing key are those of the map that lacks it', () => {
    expect(problemsOf(`routes:\n  m:\n    ${ONE}\n`)).toEqual([
      'routes.yaml:2:3 missing key `live`: expected a version string such as 1.4.0-rc.1 (quote it)',
    ])
  })

  test('never show the folder of the file', () => {
    expect(problemsOf('a').join()).not.toContain('some')
  })
})

describe('loading', () => {
  let folder: string
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'understudy-load-'))
  })
  afterEach(() => rmSync(folder, { recursive: true }))

  test('gives configuration, text and the hash of the bytes', () => {
    const text = `\uFEFF${routeWith(ONE)}`
    writeFileSync(join(folder, 'routes.yaml'), text)
    const loaded = loadRoutes(join(folder, 'routes.yaml'))
    expect([loaded.text, loaded.hash, loaded.config.routes.m!.live]).toEqual([
      text,
      hashBytes(Buffer.from(text)),
      '1.0.0',
    ])
  })

  test('of a missing file, a folder or bytes that are not UTF-8 is a configuration error without a path', () => {
    writeFileSync(join(folder, 'latin'), Buffer.from([0x61, 0xe9, 0x0a]))
    for (const name of ['missing', '', 'latin']) {
      const load = () => loadRoutes(join(folder, name))
      expect(load).toThrow(UnderstudyError)
      expect(load).toThrow(/:1:1 expected (a readable file|UTF-8)/)
    }
  })

  test('reads file references relative to the file, without the last line end', () => {
    writeFileSync(join(folder, 'token'), 'a-token-of-some-length\n')
    writeFileSync(
      join(folder, 'routes.yaml'),
      `admin: { listen: 0.0.0.0:1, token: "${'${'}file:token}" }\n${routeWith(ONE)}`,
    )
    expect(loadRoutes(join(folder, 'routes.yaml')).config.admin.token).toBe('a-token-of-some-length')
  })
})

test('a recorded entry parses to a version, or is refused', () => {
  expect(parseEntry('{ onnx: a, weight: 5 }', 'routes.yaml').weight).toBe(5)
  expect(parseEntry('onnx: a # why\nshadow: 10', 'routes.yaml').shadow.percent).toBe(10)
  for (const entry of ['', 'a', '{ onnx: a', '{ onnxx: a }'])
    expect(() => parseEntry(entry, 'routes.yaml')).toThrow(UnderstudyError)
})

test('a route has at most 32 versions', () => {
  const versions = (count: number) =>
    Array.from({ length: count }, (_, at) => `1.${at}.0: { onnx: a, weight: ${at === 0 ? 100 : 0} }`).join(', ')
  const route = (count: number) => problemsOf(`routes:\n  m:\n    live: 1.0.0\n    versions: { ${versions(count)} }\n`)
  expect(route(32)).toEqual([])
  expect(route(33)).toEqual(['routes.yaml:4:5 expected at most 32 versions, got 33'])
})
