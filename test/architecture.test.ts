import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'

const SRC = fileURLToPath(new URL('../src', import.meta.url))

/** The layers, lowest first; folders of one layer do not import each other. */
const LAYERS: readonly (readonly string[])[] = [
  ['errors', 'version'],
  ['config'],
  ['routing', 'protocols', 'record', 'state'],
  ['models'],
  ['scoring'],
  ['evidence'],
  ['gate'],
  ['telemetry'],
  ['notify'],
  ['rollout'],
  ['shadow', 'serving'],
  ['traced'],
  ['report'],
  ['admin'],
  ['control'],
  ['gateway'],
  ['load'],
  ['cli'],
  ['main'],
]

/** One library, one door. A door is a folder (ending in /) or a file without its .ts. */
const DOORS: Readonly<Record<string, readonly string[]>> = {
  hono: ['serving/', 'admin/'],
  '@hono/node-server': ['serving/', 'admin/'],
  undici: ['scoring/sharedPools', 'scoring/connection', 'notify/post', 'cli/client', 'load/'],
  'onnxruntime-node': ['scoring/onnx'],
  'lru-cache': ['evidence/labels', 'report/spanJoin', 'shadow/', 'traced/pairs'],
  'prom-client': ['telemetry/'],
  '@opentelemetry/': ['telemetry/'],
  pino: ['telemetry/'],
  yaml: ['config/', 'models/', 'cli/'],
  commander: ['cli/'],
  'node:sqlite': ['state/sqlite'],
}

/** Decisions: bytes and values in, values out. No files, sockets, processes, clocks or randomness. */
const PURE = [
  'config/nearest',
  'config/notices',
  'config/rolloutRules',
  'config/traced',
  'config/window',
  'routing/assign',
  'protocols/binaryTensors',
  'protocols/checkTensors',
  'protocols/finite',
  'protocols/inferTensors',
  'protocols/json',
  'protocols/jsonTensors',
  'protocols/openInference',
  'protocols/parameters',
  'protocols/quote',
  'protocols/rawRequest',
  'protocols/serverMetadata',
  'protocols/conform',
  'protocols/csv',
  'protocols/dataframe',
  'protocols/digits',
  'protocols/mlflow',
  'protocols/named',
  'protocols/nested',
  'protocols/predictions',
  'protocols/tensor',
  'protocols/codecs',
  'protocols/rename',
  'protocols/rows',
  'protocols/tensorflow',
  'protocols/tensorflowMetadata',
  'protocols/values',
  'evidence/accounting',
  'evidence/answerSlots',
  'evidence/blocks',
  'evidence/compare',
  'evidence/counters',
  'evidence/firstRow',
  'evidence/histogram',
  'evidence/keptCounters',
  'evidence/latency',
  'evidence/loss',
  'evidence/outputs',
  'evidence/pairCount',
  'evidence/pointer',
  'evidence/requestCount',
  'evidence/scale',
  'telemetry/exportAnswer',
  'telemetry/protobufWire',
  'telemetry/readProtobuf',
  'telemetry/exemplars',
  'telemetry/readSpans',
  'telemetry/readTold',
  'evidence/segments',
  'evidence/slotHistogram',
  'gate/answerStreams',
  'gate/armLabels',
  'gate/bet',
  'gate/betting',
  'gate/binnedBetting',
  'gate/checks',
  'gate/digest',
  'gate/deciles',
  'gate/eprocess',
  'gate/evidence',
  'gate/explain',
  'gate/faults',
  'gate/labelOdds',
  'gate/levels',
  'gate/liveStreams',
  'gate/mixtures',
  'gate/noiseFloor',
  'gate/pairedStreams',
  'gate/periods',
  'gate/rows',
  'gate/stream',
  'gate/streams',
  'gate/verdict',
  'gate/wording',
  'notify/backoff',
  'notify/notice',
  'notify/transitions',
  'rollout/automatic',
  'rollout/changes',
  'rollout/lock',
  'rollout/evidenceOf',
  'rollout/override',
  'rollout/state',
  'rollout/periods',
  'shadow/armAnswer',
  'shadow/batch',
  'shadow/count',
  'shadow/keyMemory',
  'shadow/explain',
  'shadow/explainAssignment',
  'shadow/explainComparison',
  'shadow/noise',
  'shadow/pair',
  'shadow/secondRun',
  'shadow/whyNotAsked',
  'traced/observe',
  'traced/openTraces',
  'traced/pairing',
  'shadow/told',
  'serving/headers',
  'serving/path',
  'report/charts',
  'report/comparisonText',
  'report/content',
  'report/explainText',
  'report/epochReplay',
  'report/html/ecdf',
  'report/html/histogram',
  'report/html/markup',
  'report/html/matrix',
  'report/html/origin',
  'report/html/page',
  'report/html/paths',
  'report/html/scale',
  'report/html/sections',
  'report/html/style',
  'report/html/svg',
  'report/html/traces',
  'report/html/words',
  'report/keyCount',
  'report/markdown',
  'report/knownSlots',
  'report/policyWhatIf',
  'report/recount',
  'report/report',
  'report/settings',
  'report/spanJoin',
  'report/table',
  'report/text',
  'report/timeToVerdict',
  'report/toleranceWhatIf',
  'report/tracesEstimates',
  'report/tracesEvidence',
  'report/tracesSection',
  'report/waitText',
  'config/edit',
  'config/units',
]
const IMPURE_IMPORTS = /^node:(fs|net|http|https|child_process|worker_threads|os|timers|perf_hooks|dns|tls|process)/
// An argument makes `new Date(x)` a conversion; without one it reads the clock.
const IMPURE_CALLS =
  /\b(Date\.now\(|new Date\(\)|performance\.now\(|Math\.random\(|randomUUID\(|randomBytes\(|setTimeout\(|setInterval\(|process\.(env|hrtime|on|exit|cwd))/

interface Source {
  /** Without .ts, from src/, such as `gate/verdict`. */
  readonly name: string
  readonly text: string
  readonly code: string
  readonly imports: readonly string[]
  /** Of them those that are there when it runs: no types. */
  readonly loads: readonly string[]
  /** Files named by URL: entries of threads and processes, which are started and not imported. */
  readonly starts: readonly string[]
}

const sources: readonly Source[] = readdirSync(SRC, { recursive: true, encoding: 'utf8' })
  .filter(file => file.endsWith('.ts'))
  .map(file => {
    const text = readFileSync(join(SRC, file), 'utf8')
    return {
      name: file.replace(/\.ts$/, ''),
      text,
      code: withoutComments(text),
      imports: importsOf(text),
      loads: importsOf(text.replace(/\b(import|export) type\b[^'"`;]*?\bfrom\s*['"][^'"]+['"]/g, '')),
      starts: startsOf(text),
    }
  })

function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/(^|\s)\/\/.*$/gm, '')
}

/** Static, dynamic, type and re-exporting imports. */
function importsOf(text: string): string[] {
  const code = withoutComments(text)
  const patterns = [
    /\b(?:import|export)\b[^'"`;]*?\bfrom\s*['"]([^'"]+)['"]/g,
    /\bimport\s*['"]([^'"]+)['"]/g,
    /\bimport\s*\(\s*['"]([^'"]+)['"]/g,
  ]
  return patterns.flatMap(pattern => [...code.matchAll(pattern)].map(([, specifier]) => specifier!))
}

function startsOf(text: string): string[] {
  return [...withoutComments(text).matchAll(/\bnew URL\(\s*['"](\.[^'"]+\.ts)['"]/g)].map(([, specifier]) => specifier!)
}

/** Name of the file that a relative import of `from` means. */
function target(from: string, specifier: string): string {
  return relative(SRC, resolve(SRC, dirname(from), specifier)).replace(/\.ts$/, '')
}

const folderOf = (name: string) => name.split('/')[0]!
const layerOf = (name: string) => LAYERS.findIndex(layer => layer.includes(folderOf(name)))
const ENTRIES = new Set(['main', 'serving/thread', 'shadow/thread', 'scoring/child'])

describe('the architecture', () => {
  it('has a place for every file', () => {
    expect(sources.length).toBeGreaterThan(50)
    expect(sources.filter(({ name }) => layerOf(name) < 0).map(({ name }) => name)).toEqual([])
  })

  it('imports go one way, types included, and siblings do not import each other', () => {
    const wrong = sources.flatMap(({ name, imports }) =>
      imports
        .filter(specifier => specifier.startsWith('.') && !specifier.endsWith('.json'))
        .map(specifier => target(name, specifier))
        .filter(to => {
          if (folderOf(to) === folderOf(name)) return false
          return layerOf(to) < 0 || layerOf(to) >= layerOf(name)
        })
        .map(to => `${name} → ${to}`),
    )
    expect(wrong).toEqual([])
  })

  it('has no circles among files', () => {
    const edges = new Map(
      sources.map(({ name, imports }) => [
        name,
        imports.filter(specifier => specifier.startsWith('.')).map(specifier => target(name, specifier)),
      ]),
    )
    const done = new Set<string>()
    const circles: string[] = []
    const visit = (name: string, path: readonly string[]) => {
      if (path.includes(name)) circles.push([...path.slice(path.indexOf(name)), name].join(' → '))
      if (done.has(name) || path.includes(name)) return
      for (const to of edges.get(name) ?? []) visit(to, [...path, name])
      done.add(name)
    }
    for (const name of edges.keys()) visit(name, [])
    expect(circles).toEqual([])
  })

  it('names every imported file with its ending', () => {
    const wrong = sources.flatMap(({ name, imports }) =>
      imports
        .filter(specifier => specifier.startsWith('.') && !/\.(ts|json)$/.test(specifier))
        .map(specifier => `${name} → ${specifier}`),
    )
    expect(wrong).toEqual([])
  })

  it.each(Object.entries(DOORS))('lets %s in by its door alone', (library, doors) => {
    const through = sources.filter(({ imports }) =>
      imports.some(
        specifier => specifier === library || specifier.startsWith(library.endsWith('/') ? library : `${library}/`),
      ),
    )
    const outside = through
      .map(({ name }) => name)
      .filter(name => !doors.some(door => (door.endsWith('/') ? name.startsWith(door) : name === door)))
    expect(outside).toEqual([])
  })

  it('starts wiring roots and never imports them', () => {
    const imported = sources.flatMap(({ name, imports }) =>
      imports
        .filter(specifier => specifier.startsWith('.'))
        .map(specifier => target(name, specifier))
        .filter(to => ENTRIES.has(to))
        .map(to => `${name} → ${to}`),
    )
    expect(imported).toEqual([])
    const started = new Map<string, string[]>()
    for (const { name, starts } of sources) {
      for (const specifier of starts) {
        const to = target(name, specifier)
        if (ENTRIES.has(to)) started.set(to, [...(started.get(to) ?? []), folderOf(name)])
      }
    }
    expect(started.get('serving/thread')).toEqual(['control'])
    expect(started.get('shadow/thread')).toEqual(['control'])
    expect(started.get('scoring/child')).toEqual(['scoring'])
  })

  // Marking what lives is what a collection costs, and bodies cause many: a megabyte of schemas would be marked each time.
  it.each(['serving/thread', 'shadow/thread', 'scoring/child'])('%s loads no parser of configuration', entry => {
    const loaded = new Set<string>()
    const visit = (name: string) => {
      if (loaded.has(name)) return
      loaded.add(name)
      for (const specifier of sources.find(each => each.name === name)?.loads ?? []) {
        if (specifier.startsWith('.')) visit(target(name, specifier))
        else loaded.add(specifier)
      }
    }
    visit(entry)
    expect(loaded).toContain('errors')
    const heavy = ['zod', 'yaml', 'semver', 'commander', 'prom-client', 'diff']
    expect(heavy.filter(library => loaded.has(library))).toEqual([])
  })

  // V8 allocates such a function where old objects are, and what it holds then lives until the next full collection: for a
  // request, everything of it. A name in between is enough. What is made once may do so.
  it('writes no function straight into a property where requests pass', () => {
    const HOT = ['serving', 'scoring', 'record', 'shadow', 'evidence']
    const straight =
      /^\s*[\w#$.]+(\.[#\w]+|\[[^\]]+\]) (\?\?)?= (async )?(function\b|\([^()]*\)(: [\w<>| ]+)? =>|\w+ =>)/m
    expect('  this.#x = () => 1').toMatch(straight)
    expect('  a.b[3] ??= async (y) => y').toMatch(straight)
    const wrong = sources.filter(({ name, code }) => HOT.includes(folderOf(name)) && straight.test(code))
    expect(wrong.map(({ name }) => name)).toEqual([])
  })

  it.each(PURE)('keeps %s pure: no files, sockets, processes, clocks or randomness', name => {
    const source = sources.find(each => each.name === name)
    if (source === undefined) throw new Error(`src/${name}.ts is not there any more: take it off the list`)
    expect(source.imports.filter(specifier => IMPURE_IMPORTS.test(specifier))).toEqual([])
    expect(IMPURE_CALLS.exec(source.code)?.[0]).toBeUndefined()
  })

  // A reader of spans is as pure as any other reader.
  it('pure files write no telemetry', () => {
    const wrong = sources
      .filter(({ name }) => PURE.includes(name))
      .flatMap(({ name, imports }) =>
        imports
          .filter(specifier => /telemetry\/(?!readSpans)|@opentelemetry|prom-client|pino/.test(specifier))
          .map(to => `${name} → ${to}`),
      )
    expect(wrong).toEqual([])
  })

  it('opens every file with a sentence on what it decides', () => {
    const silent = sources
      .filter(({ text }) => !/^(#![^\n]*\n)?(\/\/ \S.{15,}|\/\*\*? ?\S.{15,}|\/\*\*\n \* \S.{15,})/.test(text))
      .map(({ name }) => name)
    expect(silent).toEqual([])
  })

  it('has no folder or file that is a drawer for anything', () => {
    const drawers = sources.filter(({ name }) => /(^|\/)(utils?|helpers?|types|shared|common|misc)(\/|$)/.test(name))
    expect(drawers.map(({ name }) => name)).toEqual([])
  })

  it('never calls process.exit: with an ONNX session alive that aborts the process', () => {
    expect(sources.filter(({ code }) => /\bprocess\.exit\(/.test(code)).map(({ name }) => name)).toEqual([])
  })

  it('uses syntax that type stripping can erase: no enums, namespaces or parameter properties', () => {
    const wrong = sources.filter(({ code }) =>
      /^\s*(export )?(const )?enum |^\s*(export )?namespace |constructor\([^)]*\b(private|public|protected) /m.test(
        code,
      ),
    )
    expect(wrong.map(({ name }) => name)).toEqual([])
  })
})
