// What a webhook is told: the body of one POST. Knows neither who is told nor how.
import { hash } from 'node:crypto'
import type { NotifyEvent } from '../config/schema.ts'
import type { Verdict } from '../gate/evidence.ts'

/** The JSON body of one POST. Fields that do not apply are null; new fields may come. */
export interface Notice {
  /** The same for every try of one event, also after a restart: header `x-understudy-event-id`. */
  readonly id: string
  readonly event: NotifyEvent
  readonly route: string
  /** The version that the event is about: aborted, ready, held, promoted, rolled back, declining. */
  readonly version: string
  /** What it stands against: the live version; of `promoted` to live, the one before it; null where it is live itself. */
  readonly baseline: string | null
  /** ISO 8601, by the gateway's clock. */
  readonly at: string
  /** One sentence for a person. */
  readonly reason: string
  readonly stage: 'shadow' | 'canary' | 'live'
  /** Percent of live traffic that the version has once this has happened. */
  readonly step: number
  /** sha256 of the counters and the policy that were judged. */
  readonly evidenceDigest: string | null
  readonly verdict: NoticeVerdict | null
}

/** The part of a verdict that fits into a message; `report` has all of it. */
export type NoticeVerdict = Pick<Verdict, 'decision' | 'missing' | 'guilty' | 'exposure'>

/** What happened, before it has an id and a time. */
export type Happening = Omit<Notice, 'id' | 'at'>

/**
 * The notice of a happening. `origin` is drawn once for a route's state, `serial` counts its events: a process that ends
 * between sending and remembering sends the same event under the same id again.
 */
export function noticeOf(happening: Happening, origin: string, serial: number, atMs: number): Notice {
  const { event, route, version } = happening
  const id = hash('sha256', JSON.stringify([origin, serial, event, route, version])).slice(0, 32)
  return { id, at: new Date(atMs).toISOString(), ...happening }
}

export function verdictPart({ decision, missing, guilty, exposure }: Verdict): NoticeVerdict {
  return { decision, missing, guilty, exposure }
}
