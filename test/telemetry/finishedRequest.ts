// A finished request for tests: a live embedded version, an HTTP shadow, and their comparison.
import type { FinishedRequest } from '../../src/telemetry/finished.ts'

export const TRACE_ID = '0af7651916cd43dd8448eb211c80319c'
export const START_MS = 1_790_000_000_123.25

export function finishedRequest(changes: Partial<FinishedRequest> = {}): FinishedRequest {
  return {
    route: 'flight-delay',
    revision: 7,
    protocol: 'v2',
    requestId: 'req-1',
    traceId: TRACE_ID,
    spanId: 'aaaaaaaaaaaaaaaa',
    parentSpanId: 'bbbbbbbbbbbbbbbb',
    tracestate: 'foo=1',
    method: 'POST',
    httpRoute: '/v2/models/{model_name}/infer',
    path: '/v2/models/flight-delay/infer',
    status: 200,
    startMs: START_MS,
    durationMs: 4.5,
    errorType: '',
    assigned: 'split',
    servedVersion: '1.0.0',
    inferences: [
      {
        role: 'live',
        version: '1.0.0',
        digest: 'sha256:one',
        runtime: 'onnx',
        spanId: '',
        startMs: START_MS + 1,
        durationMs: 2,
        queueMs: 0.5,
        errorType: '',
      },
      {
        role: 'shadow',
        version: '2.0.0',
        digest: 'sha256:two',
        runtime: 'http',
        spanId: 'cccccccccccccccc',
        startMs: START_MS + 10,
        durationMs: 7,
        queueMs: 3,
        errorType: '',
        http: { url: 'http://user:secret@models.internal:8000/v2/models/delay/infer?key=secret', status: 200 },
      },
    ],
    comparisons: [
      {
        result: 'mismatch',
        kind: 'number',
        maxAbsDiff: 0.25,
        maxRelDiff: 0.5,
        baseline: { version: '1.0.0', digest: 'sha256:one', answer: 0.5, latencyMs: 2 },
        candidate: { version: '2.0.0', digest: 'sha256:two', answer: 0.75, latencyMs: 7 },
        startMs: START_MS + 17,
        durationMs: 0.1,
      },
    ],
    kept: { reason: 'mismatch', weight: 1 },
    ...changes,
  }
}
