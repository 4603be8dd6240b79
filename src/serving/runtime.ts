// Turns a snapshot into things that score, loads before it swaps, and frees the old when its last request is done.
import { readFile } from 'node:fs/promises'
import { messageOf, UnderstudyError } from '../errors.ts'
import { sha256Of } from '../models/digest.ts'
import type { Signature } from '../protocols/codec.ts'
import { codecOf } from '../protocols/codecs.ts'
import { signatureToClient } from '../protocols/rename.ts'
import type { OnnxTarget, Snapshot, SnapshotRoute, SnapshotVersion, UpstreamTarget } from '../rollout/snapshot.ts'
import type { Arm } from '../routing/assign.ts'
import { INLINE_P99_MS } from '../scoring/message.ts'
import { createOnnxScorer } from '../scoring/onnx.ts'
import { ScoringProcess } from '../scoring/pool.ts'
import type { Scorer } from '../scoring/scorer.ts'
import { SignatureSource } from '../scoring/signatures.ts'
import { Upstream } from '../scoring/upstream.ts'
import { type CountedMemory, VersionCounts } from './counted.ts'
import { type Sharing, sharingOf, Turns } from './sharing.ts'

/** What scores or forwards one version; shared by all snapshots that name the same target. */
interface Engine {
  readonly scorer: Scorer | undefined
  readonly upstream: Upstream | undefined
  /** What the model server says of its tensors; undefined: embedded, or it cannot be asked. */
  readonly signature: SignatureSource | undefined
  /** Digest of the model whose session stands on this thread; undefined: it stands elsewhere. */
  readonly inline: string | undefined
  /** That model is proven to keep rows apart, which may come while it serves: several requests may share a run of it. */
  canShare: boolean
  /** Scores since it was loaded: the first ones are slow and do not count. */
  scored: number
  users: number
}

export interface RuntimeVersion {
  readonly index: number
  readonly snapshot: SnapshotVersion
  /** Of an embedded model, in the clients' names. */
  readonly signature: Signature | undefined
  readonly engine: Engine | undefined
  /** Where its protocol has predictions, after the server's address; undefined: the protocol says nothing, or it has no address. */
  readonly predictPath: string | undefined
  /** Why it cannot answer here; undefined when it can. */
  readonly broken: string | undefined
  /** See the snapshot's. */
  readonly stalled: Int32Array | undefined
  /** What its requests came to. */
  readonly counted: VersionCounts
}

/** How a route's arms are compared by blocks: which part of an arm is as large as the other. */
export interface Cohort {
  /** Index of the candidate. */
  readonly index: number
  readonly version: string
  /** Percent of live's requests that are its control. */
  readonly control: number
  /** Percent of its own that are held against them; 100: all, and nobody is asked. */
  readonly own: number
}

export interface RuntimeRoute {
  readonly index: number
  readonly snapshot: SnapshotRoute
  readonly versions: readonly RuntimeVersion[]
  readonly live: RuntimeVersion
  readonly arms: readonly Arm[]
  /** The only version that takes traffic, where there is just one: then nothing is hashed. */
  readonly sole: RuntimeVersion | undefined
  /** Versions that get copies of what live answers. */
  readonly candidates: readonly RuntimeVersion[]
  /** Arms that are compared by blocks; none without `gate.blocks`. */
  readonly cohorts: readonly Cohort[]
  /** Every counted answer waits for its label, as an answer of its arm. */
  readonly isLabelled: boolean
  /** Some version of it gathers evidence. */
  readonly isJudged: boolean
  /** What is fair, once live can share. */
  readonly sharing: Sharing
  readonly turns: Turns
  inFlight: number
}

/** One configuration revision, ready to answer. */
export interface Runtime {
  readonly snapshot: Snapshot
  readonly routes: ReadonlyMap<string, RuntimeRoute>
  /** By the paths that routes have of their own. */
  readonly paths: ReadonlyMap<string, RuntimeRoute>
  /** Requests under way that were admitted under this revision. */
  underWay: number
}

export const INVOCATIONS = '/invocations'

/** Why a version that is known by its spans answers nothing here; nothing is wrong with it. */
export const SERVED_ELSEWHERE = 'it is served elsewhere'
const UPSTREAM_CONNECTIONS = 256

/** Builds runtimes for one thread. Engines are kept by target, so a reload reuses sessions and connections. */
export class RuntimeBuilder {
  readonly #engines = new Map<string, Engine>()
  // Live apart from the others: a canary that blocks or crashes its process must not reach live's answers.
  readonly #liveProcess = new ScoringProcess()
  readonly #otherProcess = new ScoringProcess()
  readonly #memory: CountedMemory
  readonly #proven: Set<string>
  #mayInline = true

  /** @param proven digests of models that keep rows apart */
  constructor(memory: CountedMemory, proven: readonly string[] = []) {
    this.#memory = memory
    this.#proven = new Set(proven)
  }

  /** From the next request on, requests may share runs of this model, under the revisions that stand too. */
  proven(sha256: string): void {
    this.#proven.add(sha256)
    for (const engine of this.#engines.values()) if (engine.inline === sha256) engine.canShare = true
  }

  /** After this no session is created on the thread: creating one blocks for 40–70 ms. */
  listening(): void {
    this.#mayInline = false
  }

  /** The runtime of a snapshot, everything loaded. A version that cannot load is marked broken; nothing throws. */
  async build(snapshot: Snapshot): Promise<Runtime> {
    const routes = new Map<string, RuntimeRoute>()
    for (const [index, route] of snapshot.routes.entries()) {
      const versions: RuntimeVersion[] = []
      for (const [versionIndex, version] of route.versions.entries()) {
        versions.push(await this.#version(route, version, versionIndex))
      }
      routes.set(route.name, runtimeRoute(index, route, versions))
    }
    const all = [...routes.values()]
    const paths = new Map(all.flatMap(route => route.snapshot.paths.map(path => [path, route] as const)))
    // MLflow's and SageMaker's path names no model: where there is one route only, there is no question.
    if (all.length === 1 && !paths.has(INVOCATIONS)) paths.set(INVOCATIONS, all[0]!)
    return { snapshot, routes, paths, underWay: 0 }
  }

  /** Lets go of a runtime that no request uses any more. */
  async release(runtime: Runtime): Promise<void> {
    for (const route of runtime.routes.values()) {
      for (const { engine, snapshot } of route.versions) {
        if (engine === undefined || --engine.users > 0) continue
        this.#engines.delete(engineKey(route.snapshot, snapshot))
        await engine.scorer?.close()
        await engine.upstream?.close()
      }
    }
  }

  async stop(): Promise<void> {
    await Promise.all(
      [...this.#engines.values()].map(async ({ scorer, upstream }) => {
        await scorer?.close()
        await upstream?.destroy()
      }),
    )
    this.#engines.clear()
    await Promise.all([this.#liveProcess.stop(), this.#otherProcess.stop()])
  }

  async #version(route: SnapshotRoute, version: SnapshotVersion, index: number): Promise<RuntimeVersion> {
    const base = {
      index,
      snapshot: version,
      signature: version.target.kind === 'onnx' ? signatureToClient(version.target, version.rename) : undefined,
      predictPath:
        version.target.kind === 'url' ? codecOf(version.target.protocol)?.predictPath(version.target.model) : undefined,
      stalled: version.stalled && new Int32Array(version.stalled),
      counted: new VersionCounts(this.#memory, {
        route: route.name,
        version: version.version,
        role: version.version === route.live ? 'live' : 'canary',
      }),
    }
    if (version.broken !== undefined) return { ...base, engine: undefined, broken: version.broken }
    if (version.target.kind === 'traced') return { ...base, engine: undefined, broken: SERVED_ELSEWHERE }
    const answers = version.weight > 0 || version.version === route.live || route.force !== undefined
    if (!answers) return { ...base, engine: undefined, broken: 'takes no traffic' }
    try {
      const key = engineKey(route, version)
      let engine = this.#engines.get(key)
      if (engine === undefined) {
        engine = await this.#engine(route, version)
        this.#engines.set(key, engine)
      }
      engine.users++
      return { ...base, engine, broken: undefined }
    } catch (error) {
      return { ...base, engine: undefined, broken: messageOf(error) }
    }
  }

  async #engine(route: SnapshotRoute, version: SnapshotVersion): Promise<Engine> {
    const { target } = version
    if (target.kind === 'traced') throw new UnderstudyError('VERSION_NOT_READY', SERVED_ELSEWHERE)
    if (target.kind === 'url') {
      const upstream = openUpstream(target, route.limits.body)
      const codec = codecOf(target.protocol)
      const signature = codec === undefined ? undefined : new SignatureSource(upstream, codec, target.model)
      return { scorer: undefined, upstream, signature, inline: undefined, canShare: false, scored: 0, users: 0 }
    }
    const isLive = version.version === route.live
    const inline = this.#mayInline && isLive && target.p99Ms < INLINE_P99_MS
    const scorer = inline
      ? await inlineScorer(target)
      : await childScorer(isLive ? this.#liveProcess : this.#otherProcess, target)
    return {
      scorer,
      upstream: undefined,
      signature: undefined,
      inline: inline ? target.sha256 : undefined,
      canShare: inline && this.#proven.has(target.sha256),
      scored: 0,
      users: 0,
    }
  }
}

async function childScorer(process: ScoringProcess, target: OnnxTarget): Promise<Scorer> {
  await process.load({ file: target.file, sha256: target.sha256 })
  return process.scorer(target.sha256)
}

export function openUpstream(target: UpstreamTarget, maxAnswerBytes: number): Upstream {
  return new Upstream({ ...target, maxAnswerBytes, connections: UPSTREAM_CONNECTIONS })
}

async function inlineScorer(target: OnnxTarget): Promise<Scorer> {
  const bytes = await readFile(target.file)
  if (sha256Of(bytes) !== target.sha256) {
    throw new UnderstudyError('MODEL_BROKEN', 'the model file changed since it was checked')
  }
  return createOnnxScorer(bytes)
}

/** Engines are shared where they would be the same. An upstream's answer limit belongs to its route. */
function engineKey(route: SnapshotRoute, { target, version }: SnapshotVersion): string {
  if (target.kind === 'onnx') return `${version === route.live ? 'live' : 'other'} ${target.sha256}`
  return JSON.stringify([target, route.limits.body])
}

function runtimeRoute(index: number, snapshot: SnapshotRoute, versions: readonly RuntimeVersion[]): RuntimeRoute {
  const live = versions.find(version => version.snapshot.version === snapshot.live)!
  const weighted = versions.filter(version => version.snapshot.weight > 0)
  const canaries = weighted.filter(version => version !== live && version.snapshot.evidenceKey !== undefined)
  return {
    index,
    snapshot,
    versions,
    live,
    arms: weighted.map(({ snapshot: { version, weight } }) => ({ version, weight })),
    sole: weighted.length === 1 ? weighted[0] : undefined,
    candidates: versions.filter(
      version => version !== live && version.snapshot.shadow.percent > 0 && version.snapshot.evidenceKey !== undefined,
    ),
    cohorts: snapshot.blocksMs === undefined ? [] : canaries.flatMap(canary => cohortOf(canary, live.snapshot.weight)),
    isJudged: versions.some(({ snapshot: { evidenceKey } }) => evidenceKey !== undefined),
    isLabelled: snapshot.labels?.affectedByAnswer === true && canaries.length > 0,
    sharing: sharingOf(snapshot, snapshot.versions),
    turns: new Turns(),
    inFlight: 0,
  }
}

/** The larger arm is thinned to the smaller one's size. Without one of them there is nothing to compare. */
function cohortOf({ index, snapshot: { version, weight } }: RuntimeVersion, live: number): Cohort[] {
  if (live <= 0) return []
  return [{ index, version, control: Math.min(100, (100 * weight) / live), own: Math.min(100, (100 * live) / weight) }]
}
