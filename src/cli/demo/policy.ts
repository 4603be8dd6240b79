// Decides the demo's routes.yaml and the edits that a person makes to it in the course of the play. Pure.
import { Route } from '../../config/schema.ts'
import { numeral } from '../../gate/wording.ts'

export const ROUTE = 'flight-delay'
export const LIVE = '1.0.0'
export const WORSE = '1.1.0'
export const BETTER = '2.0.0'
export const HANGING = '3.0.0-rc.1'
/** By this header a request may pick its version; it is never evidence then. */
export const FORCE_HEADER = 'x-demo-version'

/** What differs from the defaults: everything, and nothing else. Printed, so that nobody takes it for a default. */
const OWN_POLICY = `    labels: { loss: brier, margin: 0.002 }
    gate:
      errors: { floor: 0.01 }
      latency: { p99: 2, slack: 10ms }
      exposure: { for: 0s }
    rollout: { steps: [50, 100] }`

/** The file the demo starts with. @param models folder of the shipped models */
export function routesText(models: string): string {
  return `# Of \`understudy demo\`. Its gate is made for a play of one minute: do not take it for a default.
models: ${JSON.stringify(models)}
drain: { delay: 0s, deadline: 5s }
routes:
  ${ROUTE}:
    live: ${LIVE}
    versions:
      ${LIVE}: { onnx: ${ROUTE}/${LIVE}, weight: 100 }
      ${WORSE}: { onnx: ${ROUTE}/${WORSE}, shadow: 100 }
    force: ${FORCE_HEADER}
    compare:
      output: probability
      tolerance: { absolute: 0.02 }
      segments: [origin]
    expect: change # a retrained model must differ: labels decide
${OWN_POLICY}
`
}

/** Rows of setting, here, default, why; the defaults are read from the schema. */
export function policyRows(route: Route): string[][] {
  const byDefault = Route.parse({ live: LIVE, versions: {}, labels: { loss: 'brier' } })
  const rows: [string, (policy: Route) => string, string][] = [
    [
      'rollout.steps',
      ({ rollout }) => rollout.steps.map(step => `${step} %`).join(', '),
      'two stages fit into a minute',
    ],
    ['gate.exposure.for', ({ gate }) => plainDuration(gate.exposure.for), 'a real step sees a whole day'],
    ['gate.errors.floor', ({ gate }) => `${numeral(gate.errors.floor * 100)} %`, 'shown by fewer requests'],
    ['gate.latency.p99', ({ gate }) => `× ${gate.latency.p99}`, 'one machine plays every part'],
    ['gate.latency.slack', ({ gate }) => `${gate.latency.slack} ms`, 'of the model’s own time, likewise'],
    ['labels.margin', ({ labels }) => String(labels?.margin), 'stricter; as in the shipped routes.yaml'],
  ]
  return rows.map(([name, of, why]) => [name, of(route), of(byDefault), why])
}

/** A hand edit: the worse version is to take half of the traffic. */
export function withWorseAtHalf(text: string): string {
  const half = replaced(text, LIVE, [`${LIVE}: { onnx: ${ROUTE}/${LIVE}, weight: 50 }`])
  return replaced(half, WORSE, [`${WORSE}: { onnx: ${ROUTE}/${WORSE}, weight: 50, shadow: 100 }`])
}

/** A hand edit: the better version takes the worse one's place in the shadow. */
export function withBetterInShadow(text: string): string {
  const idle = `${WORSE}: { onnx: ${ROUTE}/${WORSE} }`
  return replaced(text, WORSE, [idle, `${BETTER}: { onnx: ${ROUTE}/${BETTER}, shadow: 100 }`])
}

/** A hand edit: an HTTP version is added as a shadow. */
export function withHangingShadow(text: string, url: string): string {
  const own = lineOf(text, BETTER).trim()
  const entry = `{ url: ${url}, mirrorable: true, shadow: { percent: 100, deadline: 1s } }`
  return replaced(text, BETTER, [own, `${HANGING}: ${entry}`])
}

/** The line of a version gives way to these. @throws when it has none */
function replaced(text: string, version: string, entries: readonly string[]): string {
  return text.replace(lineOf(text, version), entries.map(entry => `      ${entry}`).join('\n'))
}

function lineOf(text: string, version: string): string {
  const line = text.split('\n').find(each => each.startsWith(`      ${version}: `))
  if (line === undefined) throw new Error(`routes.yaml has no line for ${version}`)
  return line
}

function plainDuration(ms: number): string {
  return ms >= 3_600_000 ? `${ms / 3_600_000} h` : `${ms / 1000} s`
}
