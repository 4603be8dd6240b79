// Where a proxy of the benchmark sends: ports of model servers on the loopback interface.
export interface Backends {
  readonly live: number
  readonly canary: number
  /** Gets a copy of every request; undefined: nobody does. */
  readonly shadow: number | undefined
}
