// How each kind of version is reached from the shadow thread: a scoring process, or an HTTP model server.
import { UnderstudyError } from '../errors.ts'
import type { Tensor } from '../protocols/tensor.ts'
import type { SnapshotRoute, SnapshotVersion } from '../rollout/snapshot.ts'
import type { ScoringProcess } from '../scoring/pool.ts'
import { outcomeOf, Upstream, upstreamScorer } from '../scoring/upstream.ts'
import type { Candidate } from './mirror.ts'

// A scoring process takes calls one after another: a second batch waits in its pipe and keeps it busy.
const PROCESS_CONCURRENCY = 2
const UPSTREAM_CONCURRENCY = 16
// What a shadow must know to keep its side effects to itself.
const SHADOW_HEADERS = ['x-understudy-role', 'shadow'] as const

/** @throws MODEL_BROKEN when an embedded model does not load */
export async function openCandidate(
  route: SnapshotRoute,
  version: SnapshotVersion,
  process: ScoringProcess,
): Promise<Candidate> {
  const { target } = version
  if (target.kind === 'onnx') {
    await process.load({ file: target.file, sha256: target.sha256 })
    const scorer = process.scorer(target.sha256)
    return {
      score: (inputs: readonly Tensor[], deadlineMs: number) => scorer.score(inputs, deadlineMs),
      sendRaw: undefined,
      concurrency: PROCESS_CONCURRENCY,
      close: () => scorer.close(),
    }
  }
  if (target.kind === 'traced') throw new UnderstudyError('VERSION_NOT_READY', 'it is served elsewhere')
  const upstream = new Upstream({ ...target, maxAnswerBytes: route.limits.body, connections: UPSTREAM_CONCURRENCY })
  const path = `/v2/models/${encodeURIComponent(target.model)}/infer`
  const scorer = upstreamScorer(upstream, path, SHADOW_HEADERS)
  return {
    score: (inputs: readonly Tensor[], deadlineMs: number) => scorer.score(inputs, deadlineMs),
    // The client's own headers, credentials among them, stay behind: a shadow gets the body and our role.
    sendRaw: async (task, deadlineMs) =>
      outcomeOf(
        await upstream.send({
          method: 'POST',
          path,
          headers: ['content-type', 'application/json', 'x-request-id', task.record.requestId, ...SHADOW_HEADERS],
          body: task.record.request,
          deadlineMs,
        }),
      ),
    concurrency: UPSTREAM_CONCURRENCY,
    close: () => upstream.close(),
  }
}
