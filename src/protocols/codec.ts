// What every wire protocol of predictions can say: bytes ↔ tensors, in both roles. Types only; each protocol has its file.
import type { Tensor, TensorShape } from './tensor.ts'

/** Bounds on what a stranger sends. */
export interface DecodeLimits {
  /** Deepest nesting of JSON. */
  readonly depth: number
  /** Most elements of one tensor. */
  readonly elements: number
}

/** A body as it goes over the wire, content codings taken off. */
export interface WireBody {
  readonly bytes: Uint8Array
  /** V2's `Inference-Header-Content-Length`: the JSON before the raw tensors; undefined: it is all JSON. */
  readonly jsonBytes: number | undefined
  /** The Content-Type field as sent; empty: none. */
  readonly contentType: string
}

/** A body that is ready to be sent. Text is UTF-8. */
export interface EncodedBody {
  readonly body: string | Buffer
  readonly jsonBytes: number | undefined
  readonly contentType: string
}

/** Free-form parameters of V2, passed on as they came. */
export type Parameters = Readonly<Record<string, unknown>>

export interface RequestedOutput {
  readonly name: string
  /** V2's `binary_data`; undefined: as the request says for all (`binaryOutputs`). */
  readonly binary: boolean | undefined
  readonly parameters?: Parameters
}

/** An inference request, whatever protocol it came in. */
export interface InferRequest {
  readonly id: string | undefined
  readonly inputs: readonly Tensor[]
  /** In the order asked; undefined: all. */
  readonly outputs: readonly RequestedOutput[] | undefined
  /** V2's `binary_data_output`: outputs that do not say otherwise are answered as raw bytes. */
  readonly binaryOutputs: boolean
  /** V1: it was asked by `inputs`, so it is answered by `outputs`; else row by row, `instances` and `predictions`. */
  readonly columnar: boolean
  /** V2: parameters of the request, without those of the binary extension. */
  readonly parameters?: Parameters
}

export interface InferResponse {
  /** V1 and MLflow, decoded: the member that held the outputs. */
  readonly member?: string
  readonly modelName: string
  readonly modelVersion: string | undefined
  readonly id: string | undefined
  readonly outputs: readonly Tensor[]
}

/** What is known of a model's tensors; −1 is a dynamic dimension. */
export interface Signature {
  readonly inputs: readonly TensorShape[]
  readonly outputs: readonly TensorShape[]
  /** Names of the columns of a model whose only input is a matrix, from its training profile. */
  readonly features?: readonly string[]
}

/**
 * One wire protocol. Pure. Decoding throws UnderstudyError BAD_JSON, BAD_REQUEST, BAD_TENSOR (which names the tensor) or
 * NOT_SUPPORTED (what this protocol cannot carry, and why).
 */
export interface Codec {
  readonly protocol: 'v2' | 'v1' | 'mlflow'
  /**
   * @param model signature of the version that is to answer; where it is unknown, names and datatypes are taken from the
   *   request itself as far as the protocol tells them
   */
  decodeRequest(body: WireBody, limits: DecodeLimits, model: Signature | undefined): InferRequest
  encodeRequest(request: InferRequest): EncodedBody
  /** An answer's outputs; V2's JSON null becomes NaN. */
  decodeResponse(body: WireBody, limits: DecodeLimits): InferResponse
  encodeResponse(response: InferResponse, request: InferRequest): EncodedBody
  /** The error body that the protocol's own servers give. */
  encodeError(message: string, status: number): string
  /** Where a server of this protocol takes predictions of `model`, percent-encoded. */
  predictPath(model: string): string
  /** Where it tells the model's signature; undefined: nowhere. */
  metadataPath(model: string): string | undefined
  /** The signature in an answer from `metadataPath`; undefined where it tells none. */
  decodeMetadata(body: Uint8Array, limits: DecodeLimits): Signature | undefined
}
