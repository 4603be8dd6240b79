// Finds one value in parsed JSON by RFC 6901 pointer. Knows nothing of tensors or comparisons.

/**
 * The value at `pointer` (RFC 6901; '' is the whole document), or undefined when there is none. Only own members are
 * followed, so `/__proto__` finds nothing that the document does not hold; `-` names no element.
 */
export function valueAt(document: unknown, pointer: string): unknown {
  if (pointer === '') return document
  if (!pointer.startsWith('/')) return undefined
  let value = document
  for (const token of pointer.slice(1).split('/')) {
    const key = token.replaceAll('~1', '/').replaceAll('~0', '~')
    if (Array.isArray(value)) {
      if (!/^(0|[1-9]\d*)$/.test(key)) return undefined
      value = value[Number(key)]
    } else if (typeof value === 'object' && value !== null && Object.hasOwn(value, key)) {
      value = (value as Record<string, unknown>)[key]
    } else return undefined
  }
  return value
}

/** The text or number at `pointer`, as the key that requests of one user share; undefined where there is none. */
export function keyAt(document: unknown, pointer: string): string | undefined {
  const value = valueAt(document, pointer)
  return (typeof value === 'string' && value !== '') || typeof value === 'number' ? String(value) : undefined
}
