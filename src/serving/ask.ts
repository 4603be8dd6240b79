// How one version answers one request: scored here, passed on as it is, or translated. Counts and records nothing.
import { UnderstudyError } from '../errors.ts'
import { codecOf } from '../protocols/codecs.ts'
import { type Answer, type AnswerReader, failed, type Incoming } from './answer.ts'
import { embedded } from './embedded.ts'
import { forward } from './forward.ts'
import type { Asked } from './path.ts'
import type { RuntimeRoute, RuntimeVersion } from './runtime.ts'
import { translate } from './translate.ts'

/** Whether this version's bodies are those of the client, so that they pass untouched. */
export function passesUntouched({ protocol }: Asked, { snapshot: { target, rename } }: RuntimeVersion): boolean {
  return target.kind === 'url' && target.protocol === protocol && rename === undefined
}

/**
 * Asks the version for its answer. What the version gets wrong is an answer too, with its outcome, and so are inputs that
 * it does not take: another version may take them. Fails with an UnderstudyError that blames the client: BAD_JSON,
 * BAD_REQUEST, BAD_TENSOR, BAD_CONTENT_TYPE, NOT_SUPPORTED.
 * @throws NOT_SUPPORTED
 */
export function answerBy(version: RuntimeVersion, route: RuntimeRoute, incoming: Incoming, reader: AnswerReader): void {
  const { engine, snapshot } = version
  const { protocol } = incoming.asked
  if (engine?.upstream !== undefined && passesUntouched(incoming.asked, version)) {
    forward(version, route, incoming, reader)
    return
  }
  const codec = codecOf(protocol)
  const isReadable = snapshot.target.kind !== 'url' || snapshot.target.protocol !== 'json'
  if (codec === undefined || !isReadable) throw untranslatable(version, route, incoming)
  if (engine?.scorer !== undefined) pass(embedded(version, route, incoming, codec), reader)
  else if (engine?.upstream !== undefined) pass(translate(version, route, incoming, codec), reader)
  else {
    const name = `version ${snapshot.version} of model "${route.snapshot.name}"`
    reader.answered(failed('VERSION_NOT_READY', `${name} is not ready`, codec))
  }
}

function pass(answer: Promise<Answer | undefined>, reader: AnswerReader): void {
  answer.then(
    known => reader.answered(known),
    error => reader.failed(error),
  )
}

function untranslatable({ snapshot }: RuntimeVersion, route: RuntimeRoute, { asked }: Incoming): UnderstudyError {
  const speaks = snapshot.target.kind !== 'url' ? 'takes tensors' : `speaks ${PROTOCOL_NAMES[snapshot.target.protocol]}`
  const name = `version ${snapshot.version} of model "${route.snapshot.name}"`
  return new UnderstudyError(
    'NOT_SUPPORTED',
    `${name} ${speaks}, and ${PROTOCOL_NAMES[asked.protocol]} cannot be translated to that`,
  )
}

const PROTOCOL_NAMES = {
  v2: 'the Open Inference Protocol V2',
  v1: 'the TensorFlow Serving and KServe V1 protocol',
  mlflow: "MLflow's protocol",
  json: 'a form of its own',
} as const
