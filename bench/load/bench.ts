// What benchmarks share: a folder, a generator, the processes that were started, and the file of their results.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Generator } from '../../src/load/generator.ts'
import { type Running, startPeer } from './processes.ts'

export interface PeerPlace {
  /** Of node. */
  readonly flags?: readonly string[]
  /** Where it runs alone; undefined: where this process may. */
  readonly processor?: number | undefined
}

/** What is started here is ended by `measured`, whatever happens. Processes inherit where they may run: pin first. */
export class Bench {
  readonly folder: string
  readonly #name: string
  readonly #running: Running[] = []
  #generator: Generator | undefined
  #homes = 0

  /** @param name of the benchmark and of its results */
  constructor(name: string) {
    this.#name = name
    this.folder = mkdtempSync(join(tmpdir(), `understudy-${name}-`))
  }

  /** Started at its first use. */
  get generator(): Generator {
    this.#generator ??= new Generator()
    return this.#generator
  }

  /** On standard error: what is being measured. */
  tell(what: string): void {
    process.stderr.write(`${what}\n`)
  }

  /** A folder of its own. */
  home(): string {
    const home = join(this.folder, String(++this.#homes))
    mkdirSync(home)
    return home
  }

  start(peer: string, args: readonly string[] = [], { flags = [], processor }: PeerPlace = {}): Promise<Running> {
    return this.kept(startPeer(peer, args, flags, processor))
  }

  /** What was started elsewhere, to be ended here. */
  async kept(starting: Promise<Running>): Promise<Running> {
    const process = await starting
    this.#running.push(process)
    return process
  }

  /** Ends one process before the others. */
  async end(process: Running): Promise<void> {
    const at = this.#running.indexOf(process)
    if (at >= 0) this.#running.splice(at, 1)
    await process.close()
  }

  /**
   * Measures, writes the results and prints them.
   * @param out the file; undefined: that of the recorded results
   * @returns the results, and the file's name without its ending
   */
  async measured<Results>(
    measure: () => Promise<Results>,
    render: (results: Results) => string,
    out: string | undefined,
  ): Promise<{ readonly results: Results; readonly stem: string }> {
    try {
      const results = await measure()
      const file = out ?? fileURLToPath(new URL(`../results/${this.#name}.json`, import.meta.url))
      mkdirSync(dirname(file), { recursive: true })
      writeFileSync(file, `${JSON.stringify(results, undefined, 2)}\n`)
      process.stdout.write(render(results))
      return { results, stem: file.replace(/\.json$/, '') }
    } finally {
      await this.close()
    }
  }

  async close(): Promise<void> {
    await this.#generator?.close()
    // In reverse: gateways before what they forward to.
    for (const each of this.#running.toReversed()) await each.close()
    rmSync(this.folder, { recursive: true, force: true })
  }
}
