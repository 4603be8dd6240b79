// Reads the raw path of a V2 request. Names are looked up in a map and never joined to a file path.

export interface ModelPath {
  readonly model: string
  readonly version: string | undefined
  /** What follows the names: `infer`, `ready`, `config`, … or '' for metadata. */
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

function decodeName(segment: string | undefined): string | undefined {
  if (segment === undefined || segment === '') return undefined
  if (!segment.includes('%')) return segment
  try {
    return decodeURIComponent(segment)
  } catch {
    return undefined
  }
}
