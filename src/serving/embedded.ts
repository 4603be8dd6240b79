// Scores a request with an embedded model: bytes to tensors and back, in the client's protocol.
import { messageOf } from '../errors.ts'
import { checkInputs, checkRequestedOutputs } from '../protocols/checkTensors.ts'
import type { Codec, InferRequest, RequestedOutput, WireBody } from '../protocols/codec.ts'
import { decoded } from '../protocols/content.ts'
import { jsonBytesOf } from '../protocols/openInference.ts'
import { toClient, toVersion } from '../protocols/rename.ts'
import type { Tensor } from '../protocols/tensor.ts'
import type { Pieces } from '../record/pieces.ts'
import type { SnapshotVersion } from '../rollout/snapshot.ts'
import { type Answer, encodedPrediction, failed, type Incoming } from './answer.ts'
import type { RuntimeRoute, RuntimeVersion } from './runtime.ts'

export async function embedded(
  version: RuntimeVersion,
  route: RuntimeRoute,
  incoming: Incoming,
  codec: Codec,
): Promise<Answer> {
  const { snapshot, signature } = version
  const { live, turns } = route
  // Once a request, at its beginning: whether live can share may change while the body is decoded.
  const sharing = live.engine?.canShare === true ? route.sharing : 'none'
  // Before anything that may take longer in one arm than in the other, or fail in one alone.
  const untimed = sharing === 'rest' && !turns.first()
  const request = codec.decodeRequest(await wireBodyOf(incoming, route), route.snapshot.limits, signature)
  const refusal = refusalOf(request, version)
  if (refusal !== undefined) return failed('BAD_TENSOR', refusal, codec)
  checkRequestedOutputs(request.outputs, signature!.outputs)
  const inputs = toVersion(request, snapshot.rename).inputs
  const outcome = await version.engine!.scorer!.score(inputs, snapshot.deadlineMs, {
    checked: true,
    shares: untimed || sharing === 'all',
  })
  if (!outcome.ok) return failed(outcome.code, outcome.message, codec, outcome)
  const outputs = selected(toClient(outcome.outputs, snapshot.rename), request.outputs ?? namesOf(snapshot))
  return encodedPrediction({ version, route, incoming, codec, request }, outputs, {
    inferMs: outcome.inferMs,
    queueMs: outcome.queueMs,
    untimed,
  })
}

/** The request's body, ready to be decoded. Only called where it was read whole. @throws what it blames the client for */
export async function wireBodyOf({ body, form, request }: Incoming, { snapshot }: RuntimeRoute): Promise<WireBody> {
  const bytes = await decoded((body as Pieces).whole, form.coding, snapshot.limits.body)
  const jsonBytes = jsonBytesOf(request.headers['inference-header-content-length'] as string | undefined, bytes.length)
  return { bytes, jsonBytes, contentType: form.contentType }
}

/** What it answers with where the client names nothing; undefined: everything. */
function namesOf({ answers }: SnapshotVersion): readonly Pick<RequestedOutput, 'name'>[] | undefined {
  return answers?.map(name => ({ name }))
}

/** Why the model does not take these inputs. */
function refusalOf({ inputs }: InferRequest, { signature }: RuntimeVersion): string | undefined {
  try {
    checkInputs(inputs, signature!.inputs)
  } catch (error) {
    return messageOf(error)
  }
  return undefined
}

/** The outputs that were asked for, in that order; those that are not there are left out. */
export function selected(
  outputs: readonly Tensor[],
  requested: readonly Pick<RequestedOutput, 'name'>[] | undefined,
): readonly Tensor[] {
  return requested === undefined
    ? outputs
    : requested.flatMap(({ name }) => outputs.find(output => output.name === name) ?? [])
}
