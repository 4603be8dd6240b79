// Every key of routes.yaml with its type, default and meaning. Knows nothing of files, models or traffic.
import { z } from 'zod'
import { messageOf } from '../errors.ts'
import { nearest } from './nearest.ts'
import { PROTOCOLS, type Protocol } from './protocols.ts'
import { bytes, durationMs, listenAddress, percent, ratePerSecond, regexName, semverString, show } from './units.ts'
import { parseWindow } from './window.ts'

/** A key that the design has and this release has not: refused by name, never ignored. */
const notYet = (what: string) =>
  z
    .undefined({ error: `${what} is not supported yet` })
    .optional()
    .meta({ description: `${what}: not supported yet` })

/** One of `known`; of a name in `later`, that it is not supported yet. */
const oneOf = <const T extends readonly string[]>(what: string, known: T, later: readonly string[]) =>
  z.enum(known, {
    error: ({ input }) =>
      typeof input === 'string' && later.includes(input)
        ? `${what} ${input} is not supported yet`
        : `expected ${known.join(', ')}, got ${show(input)}`,
  })

/** What to say of a word that is none of these. */
const unknownWord =
  (known: readonly string[]) =>
  ({ input }: { readonly input: unknown }) => {
    const near = typeof input === 'string' ? nearest(input, known) : undefined
    return near === undefined
      ? `expected ${known.join(', ')}, got ${show(input)}`
      : `got ${show(input)}, did you mean ${near}?`
  }

export const LOSSES = ['zero-one', 'brier', 'logloss', 'absolute', 'squared'] as const
export const COMPARE_KINDS = ['number', 'label', 'probabilities', 'ranking'] as const
const compareKind = oneOf('compare kind', COMPARE_KINDS, ['text', 'json', 'embedding'])
/** Streams that a verdict can name (GATE.md, table of streams). */
export const METRICS = [
  'disagreement',
  'difference',
  'distribution',
  'errors',
  'labels',
  'arrival',
  'latency.p50',
  'latency.p95',
  'latency.p99',
  'stability',
  'split',
] as const
export type MetricName = (typeof METRICS)[number]

/** What shows that the evidence itself is broken is never waived. */
const NEVER_WAIVED: readonly MetricName[] = ['split', 'arrival']
const waivable = METRICS.filter(metric => !NEVER_WAIVED.includes(metric))

const Tolerance = z
  .strictObject({
    absolute: z.number().min(0).optional().describe('largest allowed |candidate − baseline|'),
    relative: z.number().min(0).optional().describe('largest allowed |candidate − baseline| / |baseline|'),
    threshold: z.number().optional().describe('score at or above which a number counts as the positive label'),
    top: z.int().min(1).optional().describe('how many leading entries must agree'),
    cosine: notYet('compare.tolerance.cosine'),
  })
  .describe('how far two answers may differ and still agree; exact by default')

const ComparedOutput = z.strictObject({
  output: z.string().min(1).describe('tensor name, or JSON pointer into the answer (starts with /)'),
  kind: compareKind.optional().describe('from the output by default'),
  tolerance: Tolerance.prefault({}),
})

const Segment = z.union([
  z.string().min(1),
  z.strictObject({
    bucket: z.string().min(1).describe('numeric field'),
    by: z.number().positive().describe('width of a bucket'),
  }),
  z.strictObject({
    answer: z.string().min(1).describe("output of the baseline's answer, such as its label"),
    by: z.number().positive().optional().describe('width of a bucket, for a number'),
  }),
])

const Compare = z
  .strictObject({
    output: z
      .union([z.string().min(1), z.array(ComparedOutput).min(1)])
      .optional()
      .describe('first output by default'),
    kind: compareKind.optional().describe('from the output by default'),
    tolerance: Tolerance.prefault({}),
    again: percent.default(0).describe('percent of mirrored requests that live scores twice, for its own noise'),
    segments: z
      .array(Segment)
      .max(4)
      .default([])
      .describe('fields of the input, or outputs of the baseline, whose values are judged apart, 64 values at most'),
  })
  .describe('how two answers are compared')

const Shadow = z
  .union([
    percent,
    z.strictObject({
      percent: percent.default(100).describe('percent of live requests mirrored'),
      max: ratePerSecond.optional().describe('samples before sending, so it is no drop'),
      batch: z.int().min(1).max(1024).default(32).describe('rows sent together, V2 only'),
      wait: durationMs.prefault('20ms').describe('longest wait for a batch to fill'),
      deadline: durationMs.prefault('5s').describe('after it the shadow counts as timed out'),
      unbatched: percent
        .default(10)
        .describe('percent sent alone, for the latency comparison; at most 100 a second, but all of them at 100'),
    }),
  ])
  .transform(value =>
    typeof value === 'number'
      ? { percent: value, max: undefined, batch: 32, wait: 20, deadline: 5000, unbatched: 10 }
      : { ...value, max: value.max },
  )
  .describe('percent of live requests mirrored to this version; its answers are never served')

const Identity = z.union([
  z.strictObject({ literal: z.string().min(1).describe('the name itself') }),
  z.strictObject({ header: z.string().min(1).describe('response header that holds it') }),
  z.strictObject({ path: z.string().startsWith('/').describe('metadata path that is polled for it') }),
])

const ALSO_CALLED: Readonly<Record<string, Protocol>> = {
  tensorflow: 'v1',
  tfserving: 'v1',
  kserve: 'v2',
  oip: 'v2',
  triton: 'v2',
  mlserver: 'v2',
  sagemaker: 'json',
  seldon: 'json',
  torchserve: 'json',
  bentoml: 'json',
  openai: 'json',
}
const NO_PROTOCOLS = ['grpc', 'v2-grpc', 'pmml', 'pfa']

const protocol = z.enum(PROTOCOLS, {
  error: ({ input }) => {
    if (typeof input !== 'string') return `expected ${PROTOCOLS.join(', ')}, got ${show(input)}`
    if (NO_PROTOCOLS.includes(input)) return `protocol ${input} is not supported`
    const known = Object.hasOwn(ALSO_CALLED, input) ? ALSO_CALLED[input] : nearest(input, PROTOCOLS)
    return known === undefined
      ? `expected ${PROTOCOLS.join(', ')}, got ${show(input)}`
      : `got ${show(input)}, did you mean ${known}?`
  },
})

const Names = z.record(z.string().min(1), z.string().min(1))

const Rename = z
  .strictObject({
    inputs: Names.default({}).describe("the route's name of an input → this version's"),
    outputs: Names.default({}).describe("the route's name of an output → this version's"),
  })
  .describe('what this version calls tensors that the clients of the route call otherwise')

/** A path of the gateway that belongs to one route. Matched as it stands, so it must be written as clients send it. */
const ownPath = z
  .string()
  .regex(/^(\/[A-Za-z0-9._~!$&'()*+,;=:@-]+)+$/, 'expected a path such as /invocations, without a query')
  .refine(path => !/(^|\/)\.{1,2}(\/|$)/.test(path), 'expected a path without . and .. segments')
  .refine(path => !isReserved(path), { error: ({ input }) => `${String(input)} is a path of the gateway itself` })

/** Paths that mean something on every gateway. */
function isReserved(path: string): boolean {
  return /^\/(v2(\/.*)?|v1\/(models(\/.*)?|labels)|livez|readyz|ping|health|version)$/.test(path)
}

const Override = z
  .strictObject({
    metrics: z
      .array(
        z.enum(METRICS, { error: unknownWord(waivable) }).refine(metric => !NEVER_WAIVED.includes(metric), {
          error: ({ input }) => `${String(input)} cannot be waived: it shows that the evidence itself is broken`,
        }),
      )
      .min(1)
      .describe('metrics that neither withhold nor abort'),
    reason: z.string().min(1).describe('why, for the record'),
    until: z
      .union([z.iso.date(), z.iso.datetime({ offset: true })], {
        error: ({ input }) =>
          `expected a date such as 2030-12-31, or a moment such as 2030-12-31T18:00:00Z, got ${show(input)}`,
      })
      .describe('its last day (UTC), or the moment at which it ends'),
  })
  .describe('waives metrics for the bytes that the version has when it is applied')

/** One version of a route. */
export const Version = z
  .strictObject({
    onnx: z.string().min(1).optional().describe('folder under `models` with model.onnx and model.yaml'),
    url: z
      .union([z.url({ protocol: /^https?$/ }), z.array(z.url({ protocol: /^https?$/ })).min(1)])
      .optional()
      .describe('address of an HTTP model server, or several'),
    traced: z
      .union([
        z.literal(true, {
          error: ({ input }) => `expected true, or the name that spans give this version, got ${show(input)}`,
        }),
        z.string().min(1),
      ])
      .optional()
      .describe('served elsewhere, known by spans that name it so (POST /v1/traces); true: by its version'),
    protocol: protocol
      .default('v2')
      .describe('wire protocol of an HTTP version; json: anything else, at the address itself, passed through'),
    rename: Rename.optional(),
    answers: z
      .array(z.string().min(1))
      .min(1)
      .optional()
      .describe('outputs that it answers with, in this order, where the client names none; all by default'),
    model: z.string().min(1).optional().describe('model name on the HTTP server; the route name by default'),
    weight: percent.default(0).describe('percent of live traffic'),
    shadow: Shadow.prefault(0),
    mirrorable: z.boolean().optional().describe('the call has no side effects; must be said for an HTTP shadow'),
    repeatable: z.boolean().optional().describe('the same request may be sent twice'),
    identity: Identity.optional().describe('HTTP: what names the running build; a change is a new digest'),
    deadline: durationMs.prefault('10s').describe('total time for one answer'),
    connect: durationMs.prefault('1s').describe('time to connect to an HTTP version'),
    firstByte: durationMs.optional().describe('time to the first byte of the answer'),
    override: Override.optional(),
  })
  .describe('one version of the model')

const Labels = z
  .strictObject({
    loss: z.enum(LOSSES).describe('what a wrong answer costs'),
    margin: z.number().min(0).max(1).default(0.005).describe('largest mean loss above the baseline that is still fine'),
    clip: z.number().positive().default(1).describe('loss difference that counts as ±1 (logloss, absolute, squared)'),
    within: durationMs.prefault('7d').describe('how late a label may arrive'),
    affectedByAnswer: z
      .boolean()
      .default(false)
      .describe('the answer changes the outcome: shadow labels are display only'),
  })
  .describe('true outcomes, sent to POST /v1/labels')

const Gate = z
  .strictObject({
    disagreement: z.number().gt(0).lt(1).default(0.01).describe('share of requests that may differ'),
    errors: z
      .strictObject({
        ratio: z.number().gt(1).default(1.5).describe('candidate error rate over baseline error rate'),
        floor: z.number().gt(0).lt(1).default(0.001).describe('error rate that is always fine'),
      })
      .prefault({})
      .describe('candidate error rate against the baseline; below the floor it is always fine'),
    latency: z
      .strictObject({
        p50: z.number().gt(1).default(1.1).describe('largest ratio of the p50'),
        p95: z.number().gt(1).default(1.1).describe('largest ratio of the p95'),
        p99: z.number().gt(1).default(1.25).describe('largest ratio of the p99'),
        slack: durationMs.prefault('1ms').describe('a slower answer must also be this much slower'),
      })
      .prefault({})
      .describe('ratio, and more than `slack`, slower'),
    exposure: z
      .strictObject({
        requests: z.int().min(0).default(1000).describe('least requests of a step'),
        for: durationMs.prefault('1h').describe('least time of a step'),
        atMost: durationMs.prefault('14d').describe('after it the verdict is hold'),
      })
      .prefault({})
      .describe('least and most evidence per step'),
    drops: z.number().min(0).max(1).default(0.01).describe('share of eligible requests that may be dropped'),
    unproven: percent.default(1).describe('percent of live traffic that versions without evidence may take together'),
    paired: percent.default(10).describe("percent of a canary's requests that live scores too"),
    difference: z
      .number()
      .positive()
      .optional()
      .describe('largest mean signed difference of the first compared output, in its unit'),
    distribution: z
      .number()
      .gt(0)
      .lt(1)
      .optional()
      .describe(
        "share of requests by which any decile of the baseline's scores may grow or shrink; 0.1 where `expect` is same, only shown where it is change",
      ),
    blocks: durationMs
      .optional()
      .describe(
        'judges live errors by blocks of this length, for arms that fail as a whole; longer than an incident lasts, so that one incident is one block; by request by default',
      ),
  })
  .describe('when a version may take more traffic')

const Rollout = z
  .strictObject({
    steps: z
      .array(percent.refine(step => step > 0, 'expected a step above 0'))
      .min(1)
      .default([5, 25, 50, 100])
      .describe('percents that a version climbs, growing, the last 100 (with a holdback: what that leaves)'),
    mode: z.enum(['manual', 'auto']).default('manual').describe('who raises: a person, or the gate by itself'),
    write: z.enum(['file', 'patch']).default('file').describe('patch: promote prints a patch and applies nothing'),
    every: durationMs.prefault('10m').describe('auto: least time between two raises'),
    window: z
      .string({ error: 'expected a window such as `Mon-Fri 09:00-17:00 Europe/Berlin`' })
      .transform((text, context) => {
        try {
          return parseWindow(text)
        } catch (error) {
          context.addIssue({ code: 'custom', message: messageOf(error) })
          return z.NEVER
        }
      })
      .optional()
      .describe('auto: when raises may happen, e.g. `Mon-Fri 09:00-17:00 Europe/Berlin`; always by default'),
    holdback: percent
      .refine(share => share <= 20, 'expected at most 20')
      .default(0)
      .describe('percent that the previous live keeps after a promotion, to notice a slow decline'),
    holdbackFor: durationMs.prefault('7d').describe('how long it keeps it'),
    detector: z
      .enum(['off', 'tell', 'rollback'])
      .default('tell')
      .describe('what a decline after promotion brings about'),
  })
  .describe('how a version climbs')

const Limits = z
  .strictObject({
    body: bytes.prefault('8MiB').describe('largest request body'),
    depth: z.int().min(1).max(1000).default(64).describe('deepest nesting of JSON'),
    elements: z.int().min(1).default(4_000_000).describe('most tensor elements of a request'),
    mirrored: bytes.optional().describe('largest request or answer that is mirrored; `mirror.bodyBytes` by default'),
    inFlight: z.int().min(1).default(1024).describe('requests of this route under way on one serving thread'),
    perClient: notYet('limits.perClient'),
  })
  .describe('bounds on one request')

export const NOTIFY_EVENTS = ['abort', 'ready', 'held', 'invalid', 'promoted', 'rolledback', 'degraded'] as const
export type NotifyEvent = (typeof NOTIFY_EVENTS)[number]

const Notify = z
  .strictObject({
    // The value is not shown: it often holds a secret.
    url: z
      .url({ protocol: /^https?$/, error: 'expected an http or https address' })
      .describe('receives a POST with a JSON body'),
    on: z
      .array(z.enum(NOTIFY_EVENTS, { error: unknownWord(NOTIFY_EVENTS) }))
      .min(1)
      .default([...NOTIFY_EVENTS])
      .describe('events, all by default'),
  })
  .describe('one webhook')

const attribute = z.string().min(1).max(256)

/** Of a route whose versions are traced. */
export const Spans = z
  .strictObject({
    name: z.string().min(1).optional().describe('name of a prediction span; any by default'),
    model: attribute
      .optional()
      .describe('attribute that holds the route name; understudy.model.name by default, none beside `name`'),
    version: attribute.default('understudy.model.version').describe('attribute that names the version'),
    output: z
      .union([attribute, z.array(attribute).min(1).max(16)])
      .default('understudy.prediction')
      .describe(
        'attribute that holds the answer, or several: a number, a label, a list, or JSON text of a list or map',
      ),
    error: attribute.default('error.type').describe('attribute that is there when the prediction failed'),
    request: attribute
      .default('understudy.request.id')
      .describe('attribute that holds the request id of labels; the trace id where it is not there'),
    digest: attribute.optional().describe('attribute that must hold the `identity` of the version'),
    within: durationMs.prefault('1m').describe('how long after the first span of a trace the others may come'),
  })
  .describe('which spans are predictions, where versions are `traced`, and where things stand on them')

const Sticky = z.union([
  z.strictObject({ header: z.string().min(1).describe('request header that holds the unit') }),
  z.strictObject({ cookie: z.string().min(1).describe('cookie that holds the unit') }),
  z.strictObject({ pointer: z.string().startsWith('/').describe('JSON pointer into the request body') }),
])

/** One route of routes.yaml, parsed: durations in ms, sizes in bytes, shares in percent. */
export const Route = z
  .strictObject({
    live: semverString.describe('the version that holds the promotion'),
    versions: z.record(semverString, Version).describe('every version, by semver'),
    path: z
      .union([ownPath, z.array(ownPath).min(1).max(16)])
      .optional()
      .describe(
        "further paths at which predictions of this route are asked for: in MLflow's form where one ends in /invocations, else in V2's; in any form where the versions are of protocol json",
      ),
    sticky: Sticky.optional().describe('what is assigned; the request id by default'),
    force: z.string().min(1).optional().describe('header by which testers pick a version; never evidence'),
    compare: Compare.prefault({}),
    expect: z.enum(['same', 'change']).default('same').describe('same: disagreement is gated; change: labels decide'),
    spans: Spans.optional(),
    labels: Labels.optional(),
    gate: Gate.prefault({}),
    rollout: Rollout.prefault({}),
    limits: Limits.prefault({}),
    fallback: notYet('fallback'),
    notify: z.array(Notify).max(16).default([]).describe('webhooks, retried and never waited for'),
  })
  .describe('a served model')

export const RoutesFile = z
  .strictObject({
    listen: listenAddress.prefault('127.0.0.1:8080').describe('data plane, host:port'),
    admin: z
      .strictObject({
        listen: listenAddress.prefault('127.0.0.1:9090').describe('admin API, host:port'),
        token: z.string().min(16).optional().describe('required off loopback'),
      })
      .prefault({})
      .describe('listener of the admin API and metrics'),
    name: regexName.default('understudy').describe('what the server calls itself to V2 clients'),
    models: z.string().default('./models').describe('folder of embedded models, relative to this file'),
    mirror: z
      .strictObject({
        ring: bytes.prefault('32MiB').describe('shared memory per serving thread'),
        bodyBytes: bytes
          .prefault('1MiB')
          .describe('larger requests or answers are dropped as too_large; a route may say otherwise (limits.mirrored)'),
        queue: bytes.prefault('64MiB').describe('bytes that may wait per shadow'),
      })
      .prefault({})
      .describe('bounds of mirroring'),
    traces: z
      .strictObject({
        ratio: z.number().min(0).max(1).default(0.01).describe('share of ordinary requests whose spans are kept'),
        slow: durationMs.prefault('1s').describe('slower answers are always kept'),
        file: z.string().optional().describe('OTLP JSON lines are appended here'),
      })
      .prefault({})
      .describe('which spans are kept'),
    drain: z
      .strictObject({
        delay: durationMs.prefault('1s').describe('not ready but still accepting'),
        deadline: durationMs.prefault('15s').describe('after it the process ends with requests under way'),
      })
      .prefault({})
      .describe('how the process stops'),
    routes: z
      .record(regexName, Route)
      .refine(routes => Object.keys(routes).length > 0, 'expected at least one route')
      .describe('every served model, by name'),
  })
  .describe('Understudy routes')

export type RoutesFile = z.infer<typeof RoutesFile>
export type Route = z.infer<typeof Route>
export type Version = z.infer<typeof Version>
export type Spans = z.infer<typeof Spans>
export type Override = z.infer<typeof Override>
export type Loss = (typeof LOSSES)[number]
export type CompareKind = (typeof COMPARE_KINDS)[number]
export type Tolerance = z.infer<typeof Tolerance>
export type Segment = z.infer<typeof Segment>
