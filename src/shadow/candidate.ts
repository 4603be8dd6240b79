// How each kind of version is reached from the shadow thread: a scoring process, or a model server in its protocol.
import { UnderstudyError } from '../errors.ts'
import type { InferRequest, Signature } from '../protocols/codec.ts'
import { codecOf } from '../protocols/codecs.ts'
import { conformOutputs } from '../protocols/conform.ts'
import { unpackForm } from '../protocols/content.ts'
import { signatureToClient, toClient, toVersion } from '../protocols/rename.ts'
import type { TensorShape } from '../protocols/tensor.ts'
import { joinedText, type TextRequest } from '../protocols/textRequest.ts'
import type { OnnxTarget, SnapshotRoute, SnapshotVersion, UpstreamTarget } from '../rollout/snapshot.ts'
import type { ScoringProcess } from '../scoring/pool.ts'
import type { ScoreOutcome, Scorer } from '../scoring/scorer.ts'
import { SignatureSource } from '../scoring/signatures.ts'
import { Upstream } from '../scoring/upstream.ts'
import { outcomeOf, upstreamScorer } from '../scoring/upstreamScorer.ts'
import { formatTraceparent } from '../telemetry/traceContext.ts'
import { joined } from './batch.ts'
import type { Candidate, MirroredRequest } from './mirror.ts'
import { ownPathOf, type Task } from './task.ts'

// A scoring process takes calls one after another: a second batch waits in its pipe and keeps it busy.
const PROCESS_CONCURRENCY = 2
const UPSTREAM_CONCURRENCY = 16
const SIGNATURE_WAIT_MS = 2_000
// What a shadow must know to keep its side effects to itself.
const SHADOW_HEADERS = ['x-understudy-role', 'shadow'] as const

/** @throws MODEL_BROKEN when an embedded model does not load */
export async function openCandidate(
  route: SnapshotRoute,
  version: SnapshotVersion,
  process: ScoringProcess,
): Promise<Candidate> {
  const { target } = version
  if (target.kind === 'traced') throw new UnderstudyError('VERSION_NOT_READY', 'it is served elsewhere')
  return target.kind === 'onnx' ? openEmbedded(version, target, process) : openUpstream(route, version, target)
}

async function openEmbedded(
  { rename, answers }: SnapshotVersion,
  target: OnnxTarget,
  process: ScoringProcess,
): Promise<Candidate> {
  await process.load({ file: target.file, sha256: target.sha256 })
  const scorer = process.scorer(target.sha256)
  const signature = signatureToClient(target, rename)
  return {
    requestFor: task => renamed(task, signature, rename),
    score: (requests, deadlineMs) =>
      scored(scorer, joined(requests.filter(isDecoded)), deadlineMs, { rename, answers, declared: [] }),
    sendRaw: undefined,
    concurrency: PROCESS_CONCURRENCY,
    close: () => scorer.close(),
  }
}

async function openUpstream(
  route: SnapshotRoute,
  { rename }: SnapshotVersion,
  target: UpstreamTarget,
): Promise<Candidate> {
  const upstream = new Upstream({ ...target, maxAnswerBytes: route.limits.body, connections: UPSTREAM_CONCURRENCY })
  const codec = codecOf(target.protocol)
  const scorer = codec && upstreamScorer(upstream, codec, target.model, SHADOW_HEADERS)
  const source = codec && new SignatureSource(upstream, codec, target.model)
  // As in a scorer: batches apart.
  const alone = upstream.answerLimits
  const together = { ...alone }
  let told: Signature | undefined
  let signature: Signature | undefined
  const ask = async () => {
    const latest = await source?.of(SIGNATURE_WAIT_MS)
    // The same object for the same signature: tasks decode once for each.
    if (latest === undefined || latest === told) return
    told = latest
    signature = signatureToClient(latest, rename)
  }
  const names = (): Names => ({ rename, answers: undefined, declared: told?.outputs ?? [] })
  const passes = (task: Task) => task.record.protocol === target.protocol && rename === undefined
  return {
    requestFor(task) {
      // Only what is translated, or batched in a protocol that does not name its types, needs to know them.
      if (codec === undefined) return undefined
      const text = passes(task) ? task.text : undefined
      if (text !== undefined) return text
      if (task.needsSignature) void ask()
      return renamed(task, signature, rename)
    },
    score: async (requests, deadlineMs) => {
      if (scorer === undefined || codec === undefined) return untranslatable()
      const texts = requests.filter(isText)
      if (texts.length === 0) return scored(scorer, joined(requests.filter(isDecoded)), deadlineMs, names())
      const call = textCall(joinedText(texts), codec.predictPath(target.model), deadlineMs)
      return conformed(outcomeOf(await upstream.send(call), codec, together), requests[0]!.outputs, names())
    },
    sendRaw: async (task, deadlineMs, spanId) => {
      if (passes(task)) return outcomeOf(await upstream.send(rawCall(task, target, deadlineMs, spanId)), codec, alone)
      if (task.needsSignature && signature === undefined) await ask()
      const request = renamed(task, signature, rename)
      if (scorer === undefined || request === undefined) return untranslatable()
      return scored(scorer, request, deadlineMs, names())
    },
    concurrency: UPSTREAM_CONCURRENCY,
    close: () => upstream.close(),
  }
}

function renamed(task: Task, signature: Signature | undefined, rename: SnapshotVersion['rename']) {
  const request = task.requestFor(signature)
  return request && toVersion(request, rename)
}

/** What the version calls its outputs, and of which datatype it says that they are. */
interface Names {
  readonly rename: SnapshotVersion['rename']
  readonly answers: SnapshotVersion['answers']
  readonly declared: readonly TensorShape[]
}

async function scored(
  scorer: Scorer,
  request: InferRequest,
  deadlineMs: number,
  { rename, answers, declared }: Names,
): Promise<ScoreOutcome> {
  const { inputs, outputs, parameters } = request
  const outcome = await scorer.score(inputs, deadlineMs, { outputs, ...(parameters && { parameters }) })
  return conformed(outcome, outputs, { rename, answers, declared })
}

/** An answer in the clients' names, of the outputs that they asked for. */
function conformed(
  outcome: ScoreOutcome,
  outputs: InferRequest['outputs'],
  { rename, answers, declared }: Names,
): ScoreOutcome {
  if (!outcome.ok) return outcome
  // Its own bytes are in its own protocol, or under its own names: pointers are followed in the client's.
  const { raw: _, ...rest } = outcome
  const named = toClient(conformOutputs(outcome.outputs, declared), rename)
  const given = outputs === undefined && answers !== undefined ? answers : undefined
  return { ...rest, outputs: given?.flatMap(name => named.find(output => output.name === name) ?? []) ?? named }
}

/** Requests that go together are all of one kind. */
function isText(request: MirroredRequest): request is TextRequest {
  return 'texts' in request
}

function isDecoded(request: MirroredRequest): request is InferRequest {
  return !('texts' in request)
}

function textCall(body: Buffer, path: string, deadlineMs: number) {
  return {
    method: 'POST',
    path,
    headers: ['content-type', 'application/json', ...SHADOW_HEADERS],
    body,
    deadlineMs,
  } as const
}

/** The client's bytes. Its own header fields, credentials among them, stay behind: a shadow gets the body and our role. */
function rawCall({ record }: Task, target: UpstreamTarget, deadlineMs: number, spanId: string) {
  const { contentType, coding, jsonBytes } = unpackForm(record.requestForm)
  const headers: string[] = ['x-request-id', record.requestId, ...SHADOW_HEADERS]
  headers.push('traceparent', formatTraceparent(record.traceId, spanId, record.traceFlags))
  if (record.tracestate !== '') headers.push('tracestate', record.tracestate)
  if (contentType !== '') headers.push('content-type', contentType)
  if (coding !== '') headers.push('content-encoding', coding)
  if (jsonBytes !== undefined) headers.push('inference-header-content-length', String(jsonBytes))
  const own = ownPathOf(record)
  const path = codecOf(target.protocol)?.predictPath(target.model) ?? (target.hasPath ? '' : own)
  const query = record.path.slice(own.length)
  return { method: 'POST', path: path + query, headers, body: record.request, deadlineMs } as const
}

function untranslatable(): ScoreOutcome {
  return { ok: false, code: 'BAD_TENSOR', message: 'the request cannot be translated', inferMs: 0, queueMs: 0 }
}
