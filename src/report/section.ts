// What a part of a report is made of: sentences and cells, before anybody lays them out.

export interface Table {
  /** Empty: no head. */
  readonly head: readonly string[]
  readonly rows: readonly (readonly string[])[]
  /** Columns of figures, by index. */
  readonly right: readonly number[]
}

export interface Section {
  readonly title: string
  readonly lines: readonly string[]
  readonly table: Table | undefined
}
