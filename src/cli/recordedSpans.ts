// Finds a request in a file of recorded spans: OTLP's JSON, a batch a line. Asks no gateway.
import { messageOf } from '../errors.ts'
import { explainSpans, isAt, placeOf, type RequestPlace } from '../report/explainSpans.ts'
import type { Explanation } from '../shadow/explanation.ts'
import { type ReadSpan, readSpans } from '../telemetry/readSpans.ts'
import { CommandFailure, EXIT } from './exit.ts'
import { jsonLines } from './jsonLines.ts'

const MOST_OF_ONE_ID = 8

/**
 * Requests with this id, the newest first, and how many there were. The file is read twice, since a version's span does not
 * name the request and may stand before the one that does.
 * @throws CommandFailure 2 when the file cannot be read
 */
export async function requestsInSpans(
  file: string,
  requestId: string,
  route: string | undefined,
): Promise<{ explanations: Explanation[]; seen: number }> {
  try {
    const places = await placesIn(file, requestId, route)
    const newest = [...places.values()].toSorted((a, b) => b.startMs - a.startMs).slice(0, MOST_OF_ONE_ID)
    const spans = newest.length === 0 ? [] : await spansAt(file, newest)
    const explanations = newest.map(place =>
      explainSpans(
        requestId,
        place,
        spans.filter(span => isAt(place, span)),
      ),
    )
    return { explanations, seen: places.size }
  } catch (error) {
    throw new CommandFailure(EXIT.usage, `${file} cannot be read: ${messageOf(error)}`, { cause: error })
  }
}

type Placed = RequestPlace & { readonly startMs: number }

async function placesIn(file: string, requestId: string, route: string | undefined): Promise<Map<string, Placed>> {
  const places = new Map<string, Placed>()
  // JSON may write a slash as \/, and nothing else of an id in two ways.
  const [longest = requestId] = requestId.split('/').toSorted((a, b) => b.length - a.length)
  for await (const request of jsonLines(file, line => line.includes(longest))) {
    for (const span of readSpans(request)) {
      const place = placeOf(span, requestId, route)
      if (place === undefined) continue
      const key = `${place.traceId}/${place.serverSpanId}`
      const startMs = Math.min(span.startMs, places.get(key)?.startMs ?? span.startMs)
      places.set(key, { ...place, startMs })
    }
  }
  return places
}

async function spansAt(file: string, places: readonly Placed[]): Promise<ReadSpan[]> {
  const spans: ReadSpan[] = []
  const traces = new Set(places.map(({ traceId }) => traceId))
  const isWanted = (line: string) =>
    [...traces].some(traceId => line.includes(traceId) || line.includes(traceId.toUpperCase()))
  for await (const request of jsonLines(file, isWanted)) {
    spans.push(...readSpans(request).filter(span => places.some(place => isAt(place, span))))
  }
  return spans
}
