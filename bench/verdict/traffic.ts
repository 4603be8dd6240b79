// What the peers see of a stream: counts of both arms at equal steps, and minutes of them. Pure.
import type { Sample } from './peers/fixedHorizon.ts'
import { isSignificant, meanT, proportionZ } from './peers/fixedHorizon.ts'
import { FLAGGER, type FlaggerSettings, rolledBackAt } from './peers/flagger.ts'
import { classify, decisionOf, JUDGE_SETTINGS, score } from './peers/kayenta.ts'

/** Requests a minute on every stream of the benchmark: 17 a second. */
export const PER_MINUTE = 1_000

/** Cumulative sums of one arm; `values` are latencies where a stream has them. */
interface ArmSeries {
  readonly n: Float64Array
  readonly errors: Float64Array
  readonly values: Float64Array
  readonly squares: Float64Array
}

/** A stream as dashboards keep it: 1,000 points, each the sums up to there. */
export class Series {
  readonly points: number
  readonly step: number
  readonly baseline: ArmSeries
  readonly candidate: ArmSeries

  /** @param step requests between two points */
  constructor(requests: number, step: number) {
    this.points = Math.floor(requests / step)
    this.step = step
    this.baseline = armSeries(this.points)
    this.candidate = armSeries(this.points)
  }

  /** Sums of the arms after (point + 1)·step requests; n, errors, values, squares of the candidate and of the baseline. */
  mark(point: number, candidate: readonly number[] | Float64Array, baseline: readonly number[] | Float64Array): void {
    put(this.candidate, point, candidate)
    put(this.baseline, point, baseline)
  }

  /** Errors of an arm between two points. */
  part(arm: 'baseline' | 'candidate', from: number, to: number) {
    const series = this[arm]
    const of = (values: Float64Array) => values[to - 1]! - (from > 0 ? values[from - 1]! : 0)
    return { requests: of(series.n), errors: of(series.errors), values: of(series.values) }
  }
}

function armSeries(points: number): ArmSeries {
  const column = () => new Float64Array(points)
  return { n: column(), errors: column(), values: column(), squares: column() }
}

function put(arm: ArmSeries, point: number, sums: readonly number[] | Float64Array): void {
  arm.n[point] = sums[0]!
  arm.errors[point] = sums[1]!
  arm.values[point] = sums[2] ?? 0
  arm.squares[point] = sums[3] ?? 0
}

/** The request after which a test at 5 %, looked at `looks` times at equal steps, blocks; undefined when it never does. */
export function peekedAt(series: Series, looks: number, metric: 'errors' | 'values'): number | undefined {
  const stride = series.points / looks
  for (let look = 1; look <= looks; look++) {
    const point = Math.floor(look * stride) - 1
    const sample = (arm: ArmSeries): Sample => ({
      n: arm.n[point]!,
      sum: arm[metric][point]!,
      squares: metric === 'errors' ? arm.errors[point]! : arm.squares[point]!,
    })
    const [baseline, candidate] = [sample(series.baseline), sample(series.candidate)]
    const z = metric === 'errors' ? proportionZ(baseline, candidate) : meanT(baseline, candidate)
    if (isSignificant(z)) return (point + 1) * series.step
  }
  return undefined
}

/** Kayenta is not asked before ten minutes, ten values an arm: its authors advise fifty and more. */
const LEAST_MINUTES = 10

/**
 * The request at which Kayenta's judge, asked `looks` times at equal steps about everything since the start, fails the
 * canary. Its metrics are means of a minute: the error rate, and the mean latency where there is one.
 */
export function kayentaAt(
  series: Series,
  looks: number,
  metrics: readonly ('errors' | 'values')[],
): number | undefined {
  const perMinute = PER_MINUTE / series.step
  const minutes = Math.floor(series.points / perMinute)
  const columns = metrics.map(metric => ({
    baseline: minuteMeans(series, 'baseline', metric, minutes, perMinute),
    candidate: minuteMeans(series, 'candidate', metric, minutes, perMinute),
  }))
  for (let look = 1; look <= looks; look++) {
    const until = Math.floor((look * minutes) / looks)
    if (until < LEAST_MINUTES) continue
    const points = score(
      columns.map(({ baseline, candidate }) =>
        classify(baseline.slice(0, until), candidate.slice(0, until), JUDGE_SETTINGS),
      ),
    )
    if (decisionOf(points) === 'fail') return until * PER_MINUTE
  }
  return undefined
}

function minuteMeans(
  series: Series,
  arm: 'baseline' | 'candidate',
  metric: 'errors' | 'values',
  minutes: number,
  perMinute: number,
): number[] {
  return Array.from({ length: minutes }, (_, minute) => {
    const { requests, errors, values } = series.part(arm, minute * perMinute, (minute + 1) * perMinute)
    return (metric === 'errors' ? errors : values) / requests
  })
}

/** The request at which Flagger's limit rolls the candidate back. */
export function flaggerAt(series: Series, settings: FlaggerSettings = FLAGGER): number | undefined {
  const perMinute = PER_MINUTE / series.step
  const minutes = Array.from({ length: Math.floor(series.points / perMinute) }, (_, minute) =>
    series.part('candidate', minute * perMinute, (minute + 1) * perMinute),
  )
  const check = rolledBackAt(minutes, settings)
  return check === undefined ? undefined : check * PER_MINUTE
}

/** The peers as scenarios of error rates ask them; `every`: the dear one is asked in every so many runs. */
export const ERROR_PEERS: readonly {
  readonly method: string
  readonly looks: string
  readonly every: number
  at(series: Series): number | undefined
}[] = [
  ...[10, 100, 1_000].map(looks => ({
    method: 'z test at 5 %',
    looks: looks.toLocaleString('en'),
    every: 1,
    at: (series: Series) => peekedAt(series, looks, 'errors'),
  })),
  ...[10, 100].map(looks => ({
    method: 'Kayenta',
    looks: looks.toLocaleString('en'),
    every: 5,
    at: (series: Series) => kayentaAt(series, looks, ['errors']),
  })),
  ...[99, 98].map(minimum => ({
    method: `Flagger, limit ${minimum} %`,
    looks: '10',
    every: 1,
    at: (series: Series) => flaggerAt(series, { ...FLAGGER, minimum }),
  })),
]

/** The candidate's errors up to a request. */
export function errorsUpTo(series: Series, request: number): number {
  return series.candidate.errors[Math.min(series.points, Math.floor(request / series.step)) - 1] ?? 0
}
