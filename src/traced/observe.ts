// Reads from a span whose prediction it is and what came of it, by the settings of a route. Pure; pairs nothing.
import type { Outputs } from '../evidence/compare.ts'
import { segmentsOf } from '../evidence/segments.ts'
import { parseJson } from '../protocols/json.ts'
import type { SnapshotRoute, SnapshotVersion, TracedSpans } from '../rollout/snapshot.ts'
import type { ReadSpan, SpanValue } from '../telemetry/readSpans.ts'

/** A route whose traffic is served elsewhere. */
export type TracedRoute = SnapshotRoute & { readonly spans: TracedSpans }

/** One version's outcome of one request, as its span tells it. */
export interface Observed {
  /** The answer, by attribute; undefined: there is none, or it cannot be read. */
  readonly outputs: Outputs | undefined
  /** Empty: it did not fail. */
  readonly errorType: string
  /** An attribute of the answer is larger than is kept. */
  readonly isTooLarge: boolean
  /** Of the span; undefined where its times make no sense. */
  readonly durationMs: number | undefined
  /** Fit for a label to name it; undefined: the trace id stands for it. */
  readonly requestId: string | undefined
  /** Segments of the request, of the baseline's span only. */
  readonly segments: readonly string[]
  /** What it takes in memory, about. */
  readonly bytes: number
}

/** Whose prediction a span is: a version's, or why it is nobody's. `other`: it is no prediction of this route. */
export type Whose =
  | { readonly kind: 'version'; readonly version: SnapshotVersion }
  | { readonly kind: 'other' | 'unknown_version' | 'other_build'; readonly named: string }

const OTHER: Whose = { kind: 'other', named: '' }
const LONGEST_REQUEST_ID = 128
const LONGEST_ERROR = 64
const ENTRY_BYTES = 256

export function whoseSpan({ name, attributes }: ReadSpan, { name: route, spans, versions }: TracedRoute): Whose {
  if (spans.name !== undefined && name !== spans.name) return OTHER
  if (spans.model !== undefined && attributes[spans.model] !== route) return OTHER
  const said = attributes[spans.version]
  if (said === undefined) return OTHER
  const named = String(said)
  for (const version of versions) {
    const { target } = version
    if (target.kind !== 'traced' || target.named !== named) continue
    const isItself = spans.digest === undefined || attributes[spans.digest] === target.identity
    return isItself ? { kind: 'version', version } : { kind: 'other_build', named }
  }
  return { kind: 'unknown_version', named }
}

/**
 * The outcome that a prediction's span tells. A span is an error by its status or by the error attribute (not `false` and not
 * empty). @param mostBytes longest text of one answer
 */
export function observe(span: ReadSpan, route: TracedRoute, isBaseline: boolean, mostBytes: number): Observed {
  const { attributes, startMs, endMs } = span
  const { spans } = route
  const texts = spans.outputs.map(output => attributes[output]).filter(value => typeof value === 'string')
  const isTooLarge = texts.some(text => text.length > mostBytes)
  const errorType = errorOf(span, spans)
  const outputs = errorType === '' && !isTooLarge ? answerOf(attributes, route) : undefined
  const segments =
    isBaseline && route.segments.length > 0 ? segmentsOf({ json: attributes }, route.segments, outputs) : []
  const durationMs = endMs - startMs
  return {
    outputs,
    errorType,
    isTooLarge,
    durationMs: durationMs >= 0 ? durationMs : undefined,
    requestId: requestIdOf(attributes[spans.request]),
    segments,
    // Parsed numbers take more than their text.
    bytes: ENTRY_BYTES + (isTooLarge ? 0 : 4 * texts.reduce((sum, text) => sum + text.length, 0)),
  }
}

function errorOf({ isError, attributes }: ReadSpan, spans: TracedSpans): string {
  const said = attributes[spans.error]
  if (said !== undefined && said !== false && said !== '') return String(said).slice(0, LONGEST_ERROR)
  return isError ? 'error' : ''
}

/** One field an attribute, in the order of the configuration: the first is what is compared by default. */
function answerOf(attributes: ReadSpan['attributes'], { spans, limits }: TracedRoute): Outputs | undefined {
  const answer: Record<string, unknown> = Object.create(null)
  let isThere = false
  for (const output of spans.outputs) {
    const value = attributes[output]
    if (value === undefined) continue
    isThere = true
    try {
      answer[output] = parsed(value, limits.depth)
    } catch {
      // Most often cut short by the sender's own limit on attributes.
      return undefined
    }
  }
  return isThere ? { json: answer } : undefined
}

/** Text that begins like a JSON list or map is one; any other text is a label. @throws BAD_JSON */
function parsed(value: SpanValue, depth: number): unknown {
  if (typeof value === 'number') return Number.isFinite(value) ? value : null
  return typeof value === 'string' && /^\s*[[{]/.test(value) ? parseJson(Buffer.from(value), depth) : value
}

function requestIdOf(value: SpanValue | undefined): string | undefined {
  const id = typeof value === 'string' || typeof value === 'number' ? String(value) : ''
  return id.length > 0 && id.length <= LONGEST_REQUEST_ID ? id : undefined
}
