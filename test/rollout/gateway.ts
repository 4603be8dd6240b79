// A gateway that has only a rollout: a real file in a temporary folder, a log in memory, verdicts and faults as told.
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { hashBytes, type LoadedRoutes, loadRoutes } from '../../src/config/load.ts'
import { writeAtomically } from '../../src/config/write.ts'
import { UnderstudyError } from '../../src/errors.ts'
import type { Decision, Verdict } from '../../src/gate/evidence.ts'
import { fold, type LogEntry, routeLog } from '../../src/rollout/log.ts'
import type { Change, RolloutPorts } from '../../src/rollout/ports.ts'
import { recover } from '../../src/rollout/promote.ts'
import { reload } from '../../src/rollout/reload.ts'
import { grantedWeights, type RouteState } from '../../src/rollout/state.ts'
import type { LogRecord } from '../../src/state/store.ts'

/** A log as the contract says, with faults. It outlives the process that wrote it. */
export class MemoryLog {
  records: LogRecord[] = []
  /** Throws STATE_FAILED on the n-th append from now on; 0: never. */
  failing = false

  append(scope: string, base: number, at: number, body: string): LogRecord {
    if (this.failing) throw new UnderstudyError('STATE_FAILED', 'disk full')
    const head = this.records.findLast(record => record.scope === scope)?.sequence ?? 0
    if (base !== head) throw new UnderstudyError('CONFLICT', `expected base ${head}, got ${base}`)
    const record = { sequence: this.records.length + 1, base, scope, at, body }
    this.records.push(record)
    return record
  }

  together<T>(work: () => T): T {
    const before = this.records.length
    try {
      return work()
    } catch (error) {
      this.records.length = before
      throw error
    }
  }

  log(scope?: string): readonly LogRecord[] {
    return this.records.filter(record => scope === undefined || record.scope === scope)
  }
}

class Crash extends Error {}

export class Gateway {
  readonly folder: string
  readonly file: string
  log = new MemoryLog()
  now = 1_000_000
  served: Change | undefined
  applies = 0
  decisions: Record<string, Decision | ((step: number) => Decision)> = {}
  digests: Record<string, string | undefined> = {}
  /** Runs before the named write; throw `crash()` to stop the process there. */
  before: { append?: (body: string) => void; write?: (text: string) => void; apply?: (change: Change) => void } = {}

  constructor(text: string) {
    this.folder = mkdtempSync(join(tmpdir(), 'understudy-rollout-'))
    this.file = join(this.folder, 'routes.yaml')
    writeFileSync(this.file, text)
  }

  get ports(): RolloutPorts {
    return {
      store: this.#store,
      fileName: 'routes.yaml',
      readFile: () => readFileSync(this.file, 'utf8'),
      writeFile: text => {
        this.before.write?.(text)
        writeAtomically(this.file, text)
      },
      current: () => this.served?.loaded ?? loadRoutes(this.file),
      digests: async (_, versions) =>
        Object.fromEntries(
          Object.keys(versions).map(version => [
            version,
            version in this.digests ? this.digests[version] : `digest of ${version}`,
          ]),
        ),
      verdictNow: (route, version) => this.#verdict(route, version),
      apply: async change => {
        this.before.apply?.(change)
        this.applies++
        this.served = { loaded: change.loaded, resolutions: { ...this.served?.resolutions, ...change.resolutions } }
      },
      now: () => this.now,
    }
  }

  #store = this.#newStore()

  // A new object a process: what one process kept in memory, the next one has not.
  #newStore(): RolloutPorts['store'] {
    return {
      append: (scope, base, at, body) => {
        this.before.append?.(body)
        return this.log.append(scope, base, at, body)
      },
      together: work => this.log.together(work),
      log: scope => this.log.log(scope),
    }
  }

  /** Starts, or starts again after a crash: what was in memory is gone. */
  async start(options: { adopt?: boolean } = {}): Promise<void> {
    this.before = {}
    this.served = undefined
    this.#store = this.#newStore()
    const loaded = loadRoutes(this.file)
    recover(this.ports, Object.keys(loaded.config.routes), loaded.hash)
    await reload(this.ports, loaded, { who: 'start', ...options })
  }

  async edit(change: (text: string) => string): Promise<void> {
    this.overwrite(change)
    await this.reread()
  }

  /** Edits the file without the gateway noticing. */
  overwrite(change: (text: string) => string): void {
    writeFileSync(this.file, change(this.text))
  }

  async reread(): Promise<void> {
    await reload(this.ports, loadRoutes(this.file))
  }

  get text(): string {
    return readFileSync(this.file, 'utf8')
  }

  get hash(): string {
    return hashBytes(this.text)
  }

  get loaded(): LoadedRoutes {
    return this.served!.loaded
  }

  get weights(): Readonly<Record<string, number>> {
    return this.served!.resolutions.m!.weights
  }

  get live(): string {
    return this.served!.resolutions.m!.live
  }

  get held(): readonly string[] {
    return this.served!.resolutions.m!.held.map(one => `${one.version}: ${one.reason}`)
  }

  get state(): RouteState {
    return fold(this.entries).state!
  }

  get entries(): LogEntry[] {
    return routeLog(this.log, 'm')
  }

  get kinds(): string[] {
    return this.entries.map(({ kind, phase }) => `${kind} ${phase}`)
  }

  readOnly(): void {
    this.before.write = () => {
      throw Object.assign(new Error('read-only file system'), { code: 'EROFS' })
    }
  }

  crash(): never {
    throw new Crash('the process ends here')
  }

  remove(): void {
    chmodSync(this.folder, 0o700)
    rmSync(this.folder, { recursive: true })
  }

  #verdict(route: string, candidate: string): Verdict | undefined {
    const told = this.decisions[candidate]
    if (told === undefined) return undefined
    const { state } = this
    const step = this.served?.resolutions[route]?.weights[candidate] ?? grantedWeights(state)[candidate] ?? 0
    const decision = typeof told === 'function' ? told(step) : told
    return {
      route,
      candidate,
      baseline: state.live.version,
      decision,
      stage: step > 0 ? 'canary' : 'shadow',
      step,
      reason: decision === 'promote' ? 'all safe' : 'labels: about 1,900 more',
      missing: decision === 'promote' ? [] : ['labels: about 1,900 more'],
      metrics: [],
      guilty: [],
      exposure: { requests: 0, requestsNeeded: 0, elapsedMs: 0, neededMs: 0 },
      evidenceDigest: `evidence at ${step}`,
    }
  }
}

/** Two versions and a note on each, so that a lost comment shows. */
export const ROUTES = `# who serves
routes:
  m:
    live: 1.0.0 # the lead
    versions:
      1.0.0: { onnx: m/1.0.0, weight: 100 } # old
      1.1.0: { onnx: m/1.1.0, shadow: 100 } # new
    rollout: { steps: [50, 100] }
`
