// How one version answers one request: scored here, passed on as it is, or translated. Counts and records nothing.
import { UnderstudyError } from '../errors.ts'
import { codecOf } from '../protocols/codecs.ts'
import { type Answer, failed, type Incoming } from './answer.ts'
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
 * The version's answer; undefined when the client went away, which is nobody's failure. What the version gets wrong is
 * an answer too, with its outcome, and so are inputs that it does not take: another version may take them.
 * Not async: for what is passed on that would be one promise more.
 * @throws UnderstudyError, or rejects with one, that blames the client: BAD_JSON, BAD_REQUEST, BAD_TENSOR, BAD_CONTENT_TYPE, NOT_SUPPORTED
 */
export function answerBy(
  version: RuntimeVersion,
  route: RuntimeRoute,
  incoming: Incoming,
): Promise<Answer | undefined> | Answer {
  const { engine, snapshot } = version
  const { protocol } = incoming.asked
  if (engine?.upstream !== undefined && passesUntouched(incoming.asked, version))
    return forward(version, route, incoming)
  const codec = codecOf(protocol)
  const isReadable = snapshot.target.kind !== 'url' || snapshot.target.protocol !== 'json'
  if (codec === undefined || !isReadable) throw untranslatable(version, route, incoming)
  if (engine?.scorer !== undefined) return embedded(version, route, incoming, codec)
  if (engine?.upstream !== undefined) return translate(version, route, incoming, codec)
  const name = `version ${snapshot.version} of model "${route.snapshot.name}"`
  return failed('VERSION_NOT_READY', `${name} is not ready`, codec)
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
