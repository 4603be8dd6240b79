// Which layer a sampled function belongs to, the form of bench/results/layers.json, and its table. Pure.
import type { RunFacts } from './saturation.ts'
import { table } from './table.ts'

/** As perf tells it. */
export interface Sampled {
  readonly thread: string
  /** The library or program that the function is in. */
  readonly object: string
  readonly symbol: string
}

export interface Profiled {
  readonly system: string
  readonly requests: number
  /** µs a request. */
  readonly layersUs: Readonly<Record<string, number>>
}

export interface LayersResults extends RunFacts {
  readonly method: {
    readonly rounds: number
    readonly seconds: number
    /** Samples. */
    readonly perSecond: number
    readonly connections: number
    readonly pinned: boolean
  }
  readonly systems: readonly Profiled[]
}

/** In the order of the table, from the socket up. */
const LAYERS = {
  kernel: 'the kernel: sockets, wake-ups',
  libraries: 'node in C++, libuv, llhttp, libc',
  runtime: 'V8: runtime, collecting on the thread itself',
  builtins: 'V8: built-in functions, property access',
  helpers: 'V8: helper threads, compiling and collecting',
  node: "node's JavaScript: http, streams, timers",
  undici: 'undici, its parser too',
  regexp: 'regular expressions: names and values of fields',
  own: "the proxy's own JavaScript",
} as const

export function layerOf({ thread, object, symbol }: Sampled): keyof typeof LAYERS {
  if (object.includes('kernel')) return 'kernel'
  if (thread.includes('V8Worker')) return 'helpers'
  if (object.includes('JIT') || /\bJS:/.test(symbol)) return jsLayerOf(symbol)
  if (/\bBuiltins_/.test(symbol)) return 'builtins'
  return /\bv8::/.test(symbol) ? 'runtime' : 'libraries'
}

function jsLayerOf(symbol: string): keyof typeof LAYERS {
  if (symbol.includes('RegExp')) return 'regexp'
  if (symbol.includes('/undici/') || /wasm/i.test(symbol)) return 'undici'
  return symbol.includes('file:') || symbol.includes('/node_modules/') ? 'own' : 'node'
}

export function renderLayers({ machine, method, systems, ...results }: LayersResults): string {
  const total = ({ layersUs }: Profiled) => Object.values(layersUs).reduce((sum, us) => sum + us, 0)
  const row = (name: string, of: (system: Profiled) => number) => [name, ...systems.map(each => of(each).toFixed(1))]
  return `${table(
    ['µs of CPU a request', ...systems.map(({ system }) => system)],
    [
      ...Object.entries(LAYERS).map(([layer, name]) => row(name, ({ layersUs }) => layersUs[layer] ?? 0)),
      row('all', total),
    ],
  )}

By ${method.perSecond} samples a second of perf in ${method.rounds} windows of ${method.seconds} s of each at saturation, in random order, and of what is left to do after them;
${systems.map(({ system, requests }) => `${system} answered ${requests}`).join(', ')}. ${method.connections} connections${method.pinned ? ', what is measured on a processor of its own' : ''}. Sampling costs a few percent,
and a function that V8 compiled anew may be told by another's name: read it for where time goes, not for ratios.
${machine.cpu}, ${machine.cores} cores, load ${machine.loadBefore} before and ${machine.loadAfter} after, Node ${results.node}, commit ${results.commit}, ${results.date.slice(0, 10)}${results.quick ? ', quick run: too short to judge by' : ''}.
`
}
