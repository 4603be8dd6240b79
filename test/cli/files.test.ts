import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { evidenceJson, policyJson } from '../../src/report/evidenceFile.ts'
import { evidence, policy, verdict } from '../report/sample.ts'
import { runCli } from './runCli.ts'
import { runHere } from './runHere.ts'

const MODELS = fileURLToPath(new URL('../../models', import.meta.url))
const DIGITS = join(MODELS, 'digits/1.0.0/model.onnx')
const FLIGHTS = join(MODELS, 'flight-delay/1.0.0/model.onnx')
let folder: string
const put = async (name: string, text: string) => {
  await writeFile(join(folder, name), text)
  return name
}
const cli = (...args: string[]) => runCli(args, { cwd: folder })
/** In this process; files are named with the folder before them. */
const here = (...args: string[]) =>
  runHere(args.map(arg => (/^[a-z]+\.(onnx|json|jsonl|yaml)$/.test(arg) ? join(folder, arg) : arg)))

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'understudy-cli-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

const routes = (versions: string, live = '1.0.0') =>
  `models: ${JSON.stringify(MODELS)}\nroutes:\n  digits:\n    live: ${live}\n    versions:\n${versions}`

describe('validate', () => {
  it('says every problem with file, line and column, and ends with code 2', async () => {
    await put('broken.yaml', routes('      1.0.0: { onnx: digits/1.0.0, wieght: 100 }\n', '9.9.9'))
    const { code, out, err } = await cli('validate', 'broken.yaml')
    expect([code, out]).toEqual([2, ''])
    expect(err).toMatch(/^broken\.yaml:4:11 expected one of the versions \(1\.0\.0\), got 9\.9\.9$/m)
    expect(err).toMatch(/^broken\.yaml:6:36 unknown key `wieght`, did you mean `weight`\?$/m)
  })

  it('looks for the models where they are named', async () => {
    await put(
      'missing.yaml',
      routes('      1.0.0: { onnx: digits/1.0.0, weight: 100 }\n      7.0.0: { onnx: digits/7.0.0 }\n'),
    )
    const { code, err } = await cli('validate', '--routes', 'missing.yaml')
    expect(code).toBe(2)
    expect(err).toMatch(/^missing\.yaml:7:22 version 7\.0\.0 of digits: digits\/7\.0\.0\/model\.yaml cannot be read$/m)
    expect((await cli('validate', '--routes', 'missing.yaml', '--no-models')).code).toBe(0)
  })

  it('prints a summary of a sound file, as JSON too', async () => {
    await put(
      'routes.yaml',
      routes('      1.0.0: { onnx: digits/1.0.0, weight: 100 }\n      1.1.0: { onnx: digits/1.1.0, shadow: 50 }\n'),
    )
    const text = await cli('validate')
    expect([text.code, text.out]).toEqual([
      0,
      'routes.yaml is valid\ndigits: live 1.0.0; 1.0.0 100 %, 1.1.0 shadow 50 %\n',
    ])
    const json = await cli('validate', '--json', '--no-models')
    expect(JSON.parse(json.out)).toMatchObject({ validationVersion: 1, valid: true, problems: [] })
  })

  it('notes what is valid and yet worth a look, and ends with code 0', async () => {
    await put(
      'noted.yaml',
      `${routes('      1.0.0: { onnx: digits/1.0.0, weight: 100 }\n      1.1.0: { onnx: digits/1.1.0, shadow: 50 }\n')}    expect: change\n`,
    )
    const { code, err } = await cli('validate', 'noted.yaml', '--no-models')
    expect([code, err]).toEqual([0, expect.stringMatching(/^note on digits: `expect: change` without `labels`/)])
    const json = await cli('validate', 'noted.yaml', '--no-models', '--json')
    expect(JSON.parse(json.out)).toMatchObject({ valid: true, notices: [{ route: 'digits' }] })
  })

  it('gives problems as JSON on stdout', async () => {
    await put('broken.yaml', 'routes: {}\n')
    const { code, out } = await cli('validate', 'broken.yaml', '--json')
    expect(code).toBe(2)
    expect(JSON.parse(out)).toMatchObject({ valid: false, problems: [{ file: 'broken.yaml', line: 1 }] })
  })
})

describe('judge', () => {
  const json = (change: object = {}) => JSON.stringify({ ...evidenceJson(evidence), ...change })
  const POLICY =
    'expect: change\nlabels: { loss: brier, margin: 0.002 }\ngate: { exposure: { requests: 1000, for: 10m, atMost: 7d } }\n'

  it.each([
    ['evidence that is not JSON', '{', POLICY, /ev\.json is not JSON/],
    [
      'evidence with a misspelt key',
      json({ atempt: 1 }),
      POLICY,
      /ev\.json: atempt: unknown key `atempt`, did you mean `attempt`\?/,
    ],
    [
      'a policy with a misspelt key',
      json(),
      'gate:\n  disagrement: 0.1\n',
      /policy\.yaml:2:3 unknown key `disagrement`, did you mean `disagreement`\?/,
    ],
    [
      'a policy with a wrong value',
      json(),
      'gate: { exposure: { for: 3600 } }\n',
      /policy\.yaml:1:26 expected a duration/,
    ],
    [
      'a policy of two lines that are wrong',
      json(),
      'expect: maybe\nlabels: { loss: hinge }\n',
      /policy\.yaml:1:9 [\s\S]*policy\.yaml:2:17 /,
    ],
    ['a policy that is no map', json(), '- 1\n', /policy\.yaml:1:1 /],
  ])('refuses %s with code 2', async (_what, evidenceText, policyText, message) => {
    await put('ev.json', evidenceText)
    await put('policy.yaml', policyText)
    const { code, err } = await here('judge', '--evidence', 'ev.json', '--policy', 'policy.yaml')
    expect(code).toBe(2)
    expect(err).toMatch(message)
  })

  it('calls counters that cannot be true invalid, code 6', async () => {
    const [period] = evidence.periods
    const counters = { ...Object.fromEntries(period!.counters), 'pair.unstable': 100_000 }
    await put('ev.json', json({ periods: [{ stage: 'shadow', counters }] }))
    await put('policy.yaml', POLICY)
    const { code, out } = await cli('judge', '--evidence', 'ev.json', '--policy', 'policy.yaml')
    expect(code).toBe(6)
    expect(out).toMatch(/^invalid: the evidence cannot be judged/)
  })

  it('gives the gate’s own verdict, evidence from stdin', async () => {
    await put('policy.yaml', POLICY)
    const { out } = await runCli(['judge', '--evidence', '-', '--policy', 'policy.yaml', '--json'], {
      cwd: folder,
      input: json(),
    })
    expect(JSON.parse(out)).toMatchObject({ verdictVersion: 1, ...JSON.parse(JSON.stringify(verdict)) })
  })

  it('reads what a gateway gives as evidence, both parts from one file', async () => {
    await put('both.json', JSON.stringify({ evidence: evidenceJson(evidence), policy: policyJson(policy) }))
    const { out } = await here('judge', '--evidence', 'both.json', '--policy', 'both.json', '--json')
    expect(JSON.parse(out)).toMatchObject({ decision: verdict.decision, evidenceDigest: verdict.evidenceDigest })
  })
})

describe('models add', () => {
  const add = (...args: string[]) => here('models', 'add', ...args, '--models', join(folder, 'models'))

  it.each([
    [
      'a file that is not there',
      ['nowhere.onnx', '--name', 'x', '--version', '1.0.0'],
      /nowhere\.onnx cannot be read \(ENOENT\)/,
    ],
    [
      'bytes that are no ONNX model',
      ['junk.onnx', '--name', 'x', '--version', '1.0.0'],
      /the ONNX model does not load/,
    ],
    ['an empty file', ['empty.onnx', '--name', 'x', '--version', '1.0.0'], /empty\.onnx is empty/],
    ['a version that is not semantic', [DIGITS, '--name', 'x', '--version', '1.0'], /semantic version/],
    ['a name that leads out of the folder', [DIGITS, '--name', '../x', '--version', '1.0.0'], /Expected a name/],
    [
      'samples that are not there',
      [DIGITS, '--name', 'x', '--version', '1.0.0', '--samples', 'no.jsonl'],
      /no\.jsonl cannot be read/,
    ],
    [
      'a sample with an unknown input',
      [FLIGHTS, '--name', 'x', '--version', '1.0.0', '--samples', 'bad.jsonl'],
      /bad\.jsonl:2 unknown input "orign"; the model takes origin/,
    ],
  ])('refuses %s with code 2 and leaves nothing behind', async (_what, args, message) => {
    await put('junk.onnx', 'this is no model')
    await put('empty.onnx', '')
    await put('bad.jsonl', '\n{"orign":"JFK"}\n')
    const { code, err } = await add(...args)
    expect(code).toBe(2)
    expect(err).toMatch(message)
    const left = await readdir(join(folder, 'models')).catch(() => [])
    expect(left).not.toContain('x')
  })

  it('writes bytes, signature and golden vectors of real samples, and prints what to add to routes.yaml', async () => {
    const flight = {
      origin: 'JFK',
      carrier: 'B6',
      dest: 'BOS',
      day_of_week: 1,
      hour: 9,
      minute: 30,
      distance: 187,
      temp: 50,
      humid: 60,
      wind_speed: 10,
      precip: 0,
      pressure: 1012,
      visib: 10,
      origin_delay: 3,
    }
    const v2 = {
      inputs: Object.entries(flight).map(([name, value]) => ({
        name,
        shape: [1, 1],
        datatype: typeof value === 'string' ? 'BYTES' : 'FP32',
        data: [value],
      })),
    }
    await put('rows.jsonl', `${JSON.stringify(flight)}\n${JSON.stringify(v2)}\n`)
    const { code, out } = await add(FLIGHTS, '--name', 'delays', '--version', '1.0.0-rc.1', '--samples', 'rows.jsonl')
    expect(code).toBe(0)
    expect(out).toContain('      1.0.0-rc.1: { onnx: delays/1.0.0-rc.1, weight: 100 }\n')
    const manifest = await readFile(join(folder, 'models/delays/1.0.0-rc.1/model.yaml'), 'utf8')
    expect(manifest).toContain('revision: "not given"')
    expect(manifest.match(/data: \["JFK"\]/g)).toHaveLength(2)
    expect(await readFile(join(folder, 'models/delays/1.0.0-rc.1/model.onnx'))).toEqual(await readFile(FLIGHTS))
    await put('added.yaml', out)
    expect(await cli('validate', 'added.yaml')).toMatchObject({ code: 0 })
  })

  it('makes up inputs where there are none and says so in the manifest', async () => {
    expect((await add(DIGITS, '--name', 'mine', '--version', '1.0.0')).code).toBe(0)
    expect(await readFile(join(folder, 'models/mine/1.0.0/model.yaml'), 'utf8')).toContain('made-up inputs')
  })

  it('never replaces a version: code 4', async () => {
    await add(DIGITS, '--name', 'twice', '--version', '1.0.0')
    const { code, err } = await cli('models', 'add', FLIGHTS, '--name', 'twice', '--version', '1.0.0')
    expect(code).toBe(4)
    expect(err).toContain('is there already')
    expect(await readFile(join(folder, 'models/twice/1.0.0/model.onnx'))).toEqual(await readFile(DIGITS))
  })

  it('keeps nothing with --dry-run', async () => {
    const { code, out } = await add(DIGITS, '--name', 'dry', '--version', '1.0.0', '--dry-run', '--json')
    expect(code).toBe(0)
    expect(JSON.parse(out)).toMatchObject({ modelsVersion: 1, dryRun: true, vectors: 8, synthetic: true })
    expect(await readdir(join(folder, 'models'))).not.toContain('dry')
  })
})

describe('models ls and verify', () => {
  it('list what is there, and name what is wrong with code 2', async () => {
    await cli('models', 'add', DIGITS, '--name', 'sound', '--version', '1.0.0', '--models', 'store')
    await cli('models', 'add', DIGITS, '--name', 'spoilt', '--version', '1.0.0', '--models', 'store')
    await writeFile(join(folder, 'store/spoilt/1.0.0/model.onnx'), await readFile(FLIGHTS))
    const list = await cli('models', 'ls', '--models', 'store', '--json')
    expect(JSON.parse(list.out)).toMatchObject({
      models: [{ folder: 'sound/1.0.0' }, { folder: 'spoilt/1.0.0', fault: expect.stringContaining('sha256') }],
    })
    const { code, out, err } = await cli('models', 'verify', '--models', 'store')
    expect([code, out]).toEqual([2, 'sound/1.0.0 is sound\n'])
    expect(err).toMatch(/^spoilt\/1\.0\.0\/model\.onnx has sha256/)
    expect((await cli('models', 'verify', 'sound', '--models', 'store')).code).toBe(0)
    expect((await cli('models', 'verify', 'nope', '--models', 'store')).code).toBe(2)
    expect((await cli('models', 'ls', '--models', 'nowhere')).code).toBe(2)
  })
})
