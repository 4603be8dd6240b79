// Reads the raw path of a request. Names are looked up in a map and never joined to a file path.
import type { Protocol } from '../config/protocols.ts'

export interface ModelPath {
  readonly model: string
  readonly version: string | undefined
  /** What follows the names: `infer`, `ready`, `config`, … or '' for metadata. */
  readonly verb: string
}

/** Where a prediction is asked for. */
export interface Asked {
  readonly protocol: Protocol
  /** Of the route; undefined: whoever has this path of its own. */
  readonly model: string | undefined
  readonly version: string | undefined
  /** Without the query; empty: the path that its protocol gives the route. */
  readonly path: string
  /** From the question mark on, or ''. */
  readonly query: string
  /** V1's other methods, which are not supported. */
  readonly verb: string
}

/** `/v2/models/{model}[/versions/{version}][/{verb}]`, percent-decoded; undefined for any other path. */
export function parseModelPath(url: string): ModelPath | undefined {
  if (!url.startsWith('/v2/models/')) return undefined
  const query = url.indexOf('?')
  const segments = (query < 0 ? url : url.slice(0, query)).slice('/v2/models/'.length).split('/')
  const model = decodeName(segments[0])
  if (model === undefined) return undefined
  if (segments[1] === 'versions') {
    const version = decodeName(segments[2])
    return version === undefined || segments.length > 4 ? undefined : { model, version, verb: segments[3] ?? '' }
  }
  return segments.length > 2 ? undefined : { model, version: undefined, verb: segments[1] ?? '' }
}

/** The prediction that a POST to this address asks for; undefined: none that every gateway knows. */
export function askedAt(url: string): (Asked & ModelPath) | undefined {
  const mark = url.indexOf('?')
  const path = mark < 0 ? url : url.slice(0, mark)
  const query = mark < 0 ? '' : url.slice(mark)
  if (path.startsWith('/v2/')) {
    const parsed = parseModelPath(path)
    return parsed?.verb === 'infer' ? { protocol: 'v2', ...parsed, path: '', query } : undefined
  }
  const parsed = parsePredictPath(path)
  return parsed === undefined ? undefined : { protocol: 'v1', ...parsed, path: '', query }
}

/** What is spoken at a path that a route has of its own: whatever it is where its versions are not read, else by the path. */
export function ownProtocol(
  path: string,
  targets: readonly { readonly kind: string; readonly protocol?: Protocol }[],
): Protocol {
  if (targets.some(({ protocol }) => protocol === 'json')) return 'json'
  return path.endsWith('/invocations') ? 'mlflow' : 'v2'
}

/**
 * `/v1/models/{model}[/versions/{version}|/labels/{label}]:{verb}` (TensorFlow Serving's and KServe V1's REST API);
 * undefined for any other path.
 */
function parsePredictPath(path: string): ModelPath | undefined {
  if (!path.startsWith('/v1/models/')) return undefined
  const colon = path.lastIndexOf(':')
  if (colon < 0 || path.indexOf('/', colon) >= 0) return undefined
  const segments = path.slice('/v1/models/'.length, colon).split('/')
  const model = decodeName(segments[0])
  const verb = path.slice(colon + 1)
  if (model === undefined || (segments.length !== 1 && segments.length !== 3)) return undefined
  if (segments.length === 1) return { model, version: undefined, verb }
  const version = decodeName(segments[2])
  const isNamed = segments[1] === 'versions' || segments[1] === 'labels'
  return isNamed && version !== undefined ? { model, version, verb } : undefined
}

function decodeName(segment: string | undefined): string | undefined {
  if (segment === undefined || segment === '') return undefined
  if (!segment.includes('%')) return segment
  try {
    return decodeURIComponent(segment)
  } catch {
    return undefined
  }
}
