// One configuration revision as the threads see it: immutable, structured-cloneable, every decision already taken.
import type { Protocol } from '../config/protocols.ts'
import type { CompareKind, Loss, Route, RoutesFile, Tolerance } from '../config/schema.ts'
import type { TensorSpec } from '../models/manifest.ts'

/** An embedded ONNX model, verified: the bytes that were hashed are the bytes that load. */
export interface OnnxTarget {
  readonly kind: 'onnx'
  readonly file: string
  readonly sha256: string
  readonly inputs: readonly TensorSpec[]
  readonly outputs: readonly TensorSpec[]
  /** Names of the columns of a model whose only input is a matrix, from its training profile; none: not known. */
  readonly features: readonly string[]
  /** Measured at load, ms; under 0.2 and live, the session may stand on a serving thread. */
  readonly p99Ms: number
}

/** A model behind HTTP. */
export interface UpstreamTarget {
  readonly kind: 'url'
  readonly urls: readonly string[]
  readonly protocol: Protocol
  readonly model: string
  /** Its address has a path; protocol json is asked there, and else at the client's. */
  readonly hasPath: boolean
  readonly connectMs: number
  readonly firstByteMs: number
}

/** A version that is served elsewhere: nobody here can ask it. */
export interface TracedTarget {
  readonly kind: 'traced'
  /** What spans call it. */
  readonly named: string
  /** Its declared identity; undefined: none. */
  readonly identity: string | undefined
}

/** Where the predictions of a route that is served elsewhere stand on its spans; attributes by name. */
export interface TracedSpans {
  /** Undefined: a prediction's span may have any name. */
  readonly name: string | undefined
  /** Holds the route's name; undefined: the span's name says enough. */
  readonly model: string | undefined
  readonly version: string
  readonly outputs: readonly string[]
  readonly error: string
  readonly request: string
  /** Must hold the version's identity; undefined: it is taken at its word. */
  readonly digest: string | undefined
  readonly withinMs: number
}

export interface ComparedOutput {
  /** Tensor name or JSON pointer; undefined: the first output. */
  readonly output: string | undefined
  readonly kind: CompareKind | undefined
  readonly tolerance: Tolerance
}

/** What an evidence key stands for, so that a span can tell it. */
export interface SnapshotPeriod {
  readonly attempt: number
  readonly stage: 'shadow' | 'canary'
  /** The candidate's percent of live traffic. */
  readonly step: number
  /** Its share of the two arms, 0 to 1. */
  readonly share: number
  /** ms since the Unix epoch. */
  readonly startedAt: number
  readonly compareDigest: string
  /** It is the previous live's holdback, which nobody judges. */
  readonly holdback: boolean
}

export interface SnapshotVersion {
  readonly version: string
  readonly digest: string
  readonly target: OnnxTarget | UpstreamTarget | TracedTarget
  /** What it calls tensors that the clients of the route call otherwise; undefined: the same. */
  readonly rename: Route['versions'][string]['rename']
  /** Outputs that it answers with where the client names none, in the clients' names; undefined: all. */
  readonly answers: readonly string[] | undefined
  /** Why it takes no traffic; undefined when it is ready. */
  readonly broken: string | undefined
  /** Percent of live traffic that applies now: after the gate lock, not what the file asks for. */
  readonly weight: number
  readonly shadow: Route['versions'][string]['shadow']
  /**
   * An Int32, not 0 while the shadow thread would drop what it is handed for this version, which gives no answer. Serving
   * threads then count the drop, and nothing is handed over. Undefined: everything is.
   */
  readonly stalled?: SharedArrayBuffer | undefined
  readonly deadlineMs: number
  /** Key of the evidence that observations of this version against live go to; undefined for live itself. */
  readonly evidenceKey: string | undefined
  /** Of that key. */
  readonly period?: SnapshotPeriod | undefined
  /** Segments that have a slot in that evidence already, such as `origin=JFK`. */
  readonly segments: readonly string[]
  /** Classes that have a slot in that evidence already, `baseline|candidate`. */
  readonly classes: readonly string[]
}

export interface SnapshotRoute {
  readonly name: string
  readonly live: string
  /** Paths of its own, beside those that its protocols give it. */
  readonly paths: readonly string[]
  readonly versions: readonly SnapshotVersion[]
  readonly sticky: Route['sticky']
  readonly force: string | undefined
  readonly compare: readonly ComparedOutput[]
  readonly segments: Route['compare']['segments']
  /** Latency ratios and slack, ms, for the paired exceedance counts. */
  readonly latency: Route['gate']['latency']
  readonly labels: { readonly loss: Loss; readonly clip: number; readonly affectedByAnswer: boolean } | undefined
  /** Percent of a canary's requests that live scores too; 0 where live may not be asked for that. */
  readonly paired: number
  /** Percent of mirrored requests that live scores twice; 0 where it may not be asked twice. */
  readonly again: number
  /** Live has contradicted itself before: every mirrored request is run twice. */
  readonly isNoisy: boolean
  /** The signed difference that counts as ±1, see `differenceScale`. */
  readonly differenceScale: number | undefined
  /** Length of the blocks that live errors are judged by, ms; undefined: by request. */
  readonly blocksMs: number | undefined
  readonly limits: Omit<Route['limits'], 'mirrored'> & { readonly mirrored: number }
  /** Secret salts: assignment, mirror sampling, counting of units. Hexadecimal. */
  readonly salts: { readonly split: string; readonly mirror: string; readonly count: string }
  /** False: mirroring is switched off; what could be mirrored then counts as not sampled. */
  readonly mirrored: boolean
  /** Its traffic is served elsewhere and known by these spans; undefined: it is served here. */
  readonly spans?: TracedSpans | undefined
  /** Sticky routes: one bit per unit that was counted already, shared by all serving threads. */
  readonly seenUnits: SharedArrayBuffer | undefined
}

export interface Snapshot {
  readonly revision: number
  /** What the server calls itself. */
  readonly name: string
  readonly routes: readonly SnapshotRoute[]
  readonly mirror: RoutesFile['mirror']
  readonly traces: RoutesFile['traces']
}
