// One recorded request on its way to its candidates: decoded lazily, and at most once for each signature.
import type { Outputs } from '../evidence/compare.ts'
import type { Codec, InferRequest, Signature, WireBody } from '../protocols/codec.ts'
import { codecOf } from '../protocols/codecs.ts'
import { isUnnamed, namedAs } from '../protocols/conform.ts'
import { type BodyForm, decodedNow, unpackForm } from '../protocols/content.ts'
import { parseJson } from '../protocols/json.ts'
import { signatureToClient } from '../protocols/rename.ts'
import type { Tensor } from '../protocols/tensor.ts'
import { type TextRequest, textRequestOf } from '../protocols/textRequest.ts'
import { OUTCOME, type RequestRecord } from '../record/format.ts'
import type { SnapshotRoute, SnapshotVersion } from '../rollout/snapshot.ts'
import type { ScoreOutcome } from '../scoring/scorer.ts'

/** What a version did with a request that another one has answered. */
export interface Observation {
  readonly outcome: ScoreOutcome
  /** Sent with others: its latency says nothing about one request. */
  readonly batched: boolean
  /** Monotonic ms at which it was sent. */
  readonly sentMs: number
  /** The span that its server was told of; empty: none. */
  readonly spanId: string
}

/** How an answer of a protocol without names says what it says. */
interface AnswerForm {
  readonly member: string | undefined
  readonly isUnnamed: boolean
}

export class Task {
  readonly record: RequestRecord
  readonly route: SnapshotRoute
  /** Most requests go on as text, and are never decoded. */
  #requests: Map<Signature | undefined, InferRequest | null> | undefined
  #text: TextRequest | null | undefined
  #body: WireBody | null | undefined
  #served: Outputs | null | undefined
  #form: AnswerForm | undefined

  constructor(record: RequestRecord, route: SnapshotRoute) {
    this.record = record
    this.route = route
  }

  /** Bytes that this task keeps in memory. */
  get bytes(): number {
    return this.record.request.length + this.record.answer.length + 512
  }

  /** Whether the version that served it answered with a prediction. */
  get servedOk(): boolean {
    return this.record.outcome === OUTCOME.ok
  }

  /** The client's protocol; undefined: bodies are not read, but for pointers into their JSON. */
  get codec(): Codec | undefined {
    return codecOf(this.record.protocol)
  }

  /** The request as live understands it; undefined when it cannot be read. */
  get request(): InferRequest | undefined {
    return this.requestFor(this.needsSignature ? liveSignature(this.route) : undefined)
  }

  /** The request with its numbers as they came, where that is enough; undefined: it must be decoded to be understood. */
  get text(): TextRequest | undefined {
    if (this.#text === undefined) {
      const isV2 = this.record.protocol === 'v2'
      this.#text = isV2 ? attempt(() => textRequestOf(this.#requestBody, this.route.limits) ?? null) : null
    }
    return this.#text ?? undefined
  }

  /** The request's JSON, without raw tensors behind it. @throws when it is none */
  get requestJson(): unknown {
    return this.#json(this.#requestBody)
  }

  /** Whether only a signature tells what its tensors are: V2 says it itself, but for a body that is one raw tensor. */
  get needsSignature(): boolean {
    return this.record.protocol !== 'v2' || unpackForm(this.record.requestForm).jsonBytes === 0
  }

  /** What segments are read from; undefined when the request cannot be read. */
  get fields(): Outputs | undefined {
    if (this.codec === undefined) return attempt(() => ({ json: this.requestJson })) ?? undefined
    const { request } = this
    return request && { tensors: request.inputs }
  }

  /** Names of the outputs that the client asked for; undefined: all. */
  get requestedOutputs(): readonly string[] | undefined {
    return (this.text ?? this.request)?.outputs?.map(({ name }) => name)
  }

  /** Whether the compared outputs are JSON pointers into the answer, rather than tensors. */
  get comparesJson(): boolean {
    return this.codec === undefined || this.route.compare.some(({ output }) => output?.startsWith('/'))
  }

  /** The outputs that were served; undefined when the answer cannot be read. */
  get served(): Outputs | undefined {
    if (this.#served === undefined) this.#served = attempt(() => this.#readServed())
    return this.#served ?? undefined
  }

  /** Whether what was served went through JSON, which has no infinity. */
  get servedAsJson(): boolean {
    return unpackForm(this.record.answerForm).jsonBytes === undefined
  }

  /** Whether the version that was served speaks a protocol with datatypes. */
  get servedTyped(): boolean {
    const target = this.route.versions[this.record.version]?.target
    return target?.kind !== 'url' || target.protocol === 'v2'
  }

  /** The request as a version with this signature understands it, in the clients' names; undefined when it cannot be read. */
  requestFor(signature: Signature | undefined): InferRequest | undefined {
    const { codec } = this
    if (codec === undefined) return undefined
    const key = this.needsSignature ? signature : undefined
    let request = this.#requests?.get(key)
    if (request === undefined) {
      request = attempt(() => codec.decodeRequest(this.#requestBody, this.route.limits, key))
      this.#requests ??= new Map()
      this.#requests.set(key, request)
    }
    return request ?? undefined
  }

  /**
   * An answer in the client's protocol as what is compared with the served one.
   * @throws when it cannot be read
   */
  readAnswer(body: WireBody): Outputs {
    // Read first: others are held against its form.
    void this.served
    if (this.comparesJson) return { json: this.#json(body) }
    const { outputs, member } = this.codec!.decodeResponse(body, this.route.limits)
    // Under another member of the JSON, or by a name where there is none, a client finds nothing.
    const form = this.#form
    const isThere = form === undefined || (member === form.member && isUnnamed(outputs) === form.isUnnamed)
    return { tensors: isThere ? this.#named(outputs) : [] }
  }

  #readServed(): Outputs {
    const { answer, answerForm } = this.record
    const { limits } = this.route
    const body = wireBody(answer, unpackForm(answerForm), limits.body)
    if (this.comparesJson) return { json: this.#json(body) }
    const { outputs, member } = this.codec!.decodeResponse(body, limits)
    this.#form = { member, isUnnamed: isUnnamed(outputs) }
    return { tensors: this.#named(outputs) }
  }

  /** Where the served answer gives its only output no name, that is the one that is compared; so of others. */
  #named(outputs: readonly Tensor[]): readonly Tensor[] {
    const { compare } = this.route
    const name = compare.length === 1 && (this.#form?.isUnnamed ?? true) ? compare[0]!.output : undefined
    return name === undefined ? outputs : namedAs(outputs, name)
  }

  get #requestBody(): WireBody {
    const { request, requestForm } = this.record
    this.#body ??= wireBody(request, unpackForm(requestForm), this.route.limits.body)
    return this.#body
  }

  #json({ bytes, jsonBytes }: WireBody): unknown {
    return parseJson(jsonBytes === undefined ? bytes : bytes.subarray(0, jsonBytes), this.route.limits.depth)
  }
}

function wireBody(bytes: Uint8Array, { contentType, coding, jsonBytes }: BodyForm, maxBytes: number): WireBody {
  return { bytes: decodedNow(bytes, coding, maxBytes), jsonBytes, contentType }
}

// A snapshot is immutable, so the signature of its live version is the same object for as long as it is kept.
const signatures = new WeakMap<SnapshotRoute, { readonly signature: Signature | undefined }>()

function liveSignature(route: SnapshotRoute): Signature | undefined {
  let known = signatures.get(route)
  if (known === undefined) {
    const live = liveOf(route)
    known = { signature: live?.target.kind === 'onnx' ? signatureToClient(live.target, live.rename) : undefined }
    signatures.set(route, known)
  }
  return known.signature
}

function attempt<T>(read: () => T): T | null {
  try {
    return read()
  } catch {
    return null
  }
}

export function liveOf(route: SnapshotRoute): SnapshotVersion | undefined {
  return route.versions.find(version => version.version === route.live)
}

/** The path of its own at which a route was asked, without the query; empty: the one that its protocol gives it. */
export function ownPathOf({ path }: RequestRecord): string {
  const mark = path.indexOf('?')
  return mark < 0 ? path : path.slice(0, mark)
}
