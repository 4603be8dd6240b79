// Every scenario, in the order of the report.
import type { Scenario } from '../scenario.ts'
import { decline } from './decline.ts'
import { disagreement } from './disagreement.ts'
import { errors } from './errors.ts'
import { identical } from './identical.ts'
import { incidents } from './incidents.ts'
import { labels } from './labels.ts'
import { latency } from './latency.ts'
import { merge } from './merge.ts'
import { promotion } from './promotion.ts'
import { segment } from './segment.ts'
import { sticky } from './sticky.ts'

export const SCENARIOS: readonly Scenario[] = [
  identical,
  sticky,
  incidents,
  errors,
  disagreement,
  promotion,
  latency,
  decline,
  segment,
  labels,
  merge,
] as readonly unknown[] as readonly Scenario[]
