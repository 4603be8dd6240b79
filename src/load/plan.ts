// What a load run is asked to do and what it found: plain data that passes between processes as JSON.
import { z } from 'zod'
import type { LatencySummary } from './latencies.ts'

/** Most requests of one run: every load is bounded. */
const MAX_REQUESTS = 50_000_000

const Url = z.url({ protocol: /^http$/ })

const Requests = {
  paths: z
    .array(z.string().startsWith('/'))
    .min(1)
    .optional()
    .describe('paths that are asked in turn instead of the one of the url'),
  bodies: z.array(z.string()).min(1).describe('request bodies, sent in turn'),
  headers: z.array(z.string()).default(['content-type', 'application/json']).describe('names and values in turn'),
  connections: z.int().min(1).max(4096).default(8).describe('kept-alive connections, one request at a time on each'),
  warmUp: z.int().min(0).max(MAX_REQUESTS).default(0).describe('requests sent before, neither timed nor counted'),
  timeoutMs: z.int().min(1).max(600_000).default(10_000).describe('an answer that takes longer is an error'),
}

const Arrivals = {
  rate: z.number().positive().max(1_000_000).describe('requests a second, whatever the answers do'),
  seconds: z.number().positive().max(86_400),
  arrivals: z.enum(['uniform', 'poisson']).default('poisson'),
  seed: z.int().default(1),
}
const isBounded = ({ rate, seconds }: { rate: number; seconds: number }) => rate * seconds <= MAX_REQUESTS
const UNBOUNDED = `more than ${MAX_REQUESTS} requests`

const OpenLoop = z
  .strictObject({
    mode: z.literal('open'),
    url: Url.describe('where every request is sent'),
    ...Requests,
    ...Arrivals,
  })
  .refine(isBounded, UNBOUNDED)

/** An open loop over several servers, one at a time. */
export const TurnsPlan = z
  .strictObject({
    mode: z.literal('turns'),
    urls: z.array(Url).min(1).describe('the servers that take turns'),
    turnMs: z.number().positive().default(250).describe('length of a turn'),
    ...Requests,
    ...Arrivals,
  })
  .refine(isBounded, UNBOUNDED)

const ClosedLoop = z
  .strictObject({
    mode: z.literal('closed'),
    url: Url.describe('where every request is sent'),
    ...Requests,
    requests: z.int().min(1).max(MAX_REQUESTS).default(MAX_REQUESTS).describe('how many are sent at most'),
    seconds: z.number().positive().max(86_400).default(60).describe('none is sent after this time'),
  })
  .describe('each connection sends its next request when its last is answered')

export const Plan = z.union([OpenLoop, ClosedLoop])
export type Plan = z.infer<typeof Plan>
/** A plan as it may be written: keys with a default left out. */
export type PlanInput = z.input<typeof Plan>
export type OpenLoopPlan = z.infer<typeof OpenLoop>
export type TurnsPlan = z.infer<typeof TurnsPlan>
export type TurnsPlanInput = z.input<typeof TurnsPlan>
export type ClosedLoopPlan = z.infer<typeof ClosedLoop>

export interface LoadResult {
  readonly mode: 'open' | 'closed'
  /** Requests sent, warm-up left out: the sum of `statuses` and `errors`. */
  readonly sent: number
  /** Requests of the warm-up that were answered, whatever their status. */
  readonly warmedUp: number
  /** From the start to the last answer. */
  readonly seconds: number
  /** Answers with a 2xx status a second. */
  readonly perSecond: number
  /** Answers by status code. */
  readonly statuses: Readonly<Record<string, number>>
  /** Requests without an answer, by the error's code; `timeout` by `timeoutMs`. */
  readonly errors: Readonly<Record<string, number>>
  /** Open loop: from the moment a request was due to its last byte. Closed loop: from its sending. 2xx answers only. */
  readonly latency: LatencySummary
  /** Open loop: how long after its due moment a request was handed to a connection's queue. The generator's own error. */
  readonly lateness: LatencySummary
}
