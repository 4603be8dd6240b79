// How many rows a V2 request asks for, read without parsing it: what a model server costs is not what is measured.

/** Rows of the first tensor. */
export function rowsOf(chunks: readonly Buffer[]): number {
  const [first] = chunks
  const match = first === undefined ? null : /"shape":\s*\[\s*(\d+)/.exec(first.toString('latin1', 0, 256))
  return match === null ? 1 : Number(match[1])
}
