// Where a proxy of the benchmark sends, and in what shares: ports of model servers on the loopback interface.
export interface Backends {
  readonly live: number
  readonly canary: number
  /** Gets a copy of every request; undefined: nobody does. */
  readonly shadow: number | undefined
  /** After which an unanswered copy is given up, seconds; undefined: the proxy's own default. */
  readonly shadowDeadline?: number
}

/** What a version without evidence may take: more would be held by our gate's lock, and the others would do another work. */
export const CANARY_PERCENT = 1
