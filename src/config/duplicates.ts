// Finds keys that stand in one map twice. Knows YAML's nodes and nothing of what they mean.
import { isMap, isScalar, isSeq, type Node } from 'yaml'

/**
 * Offsets of keys that their map has had already, in no certain order. In linear time: yaml's own `uniqueKeys` compares
 * each key with all before it, which took two thirds of the time of reading 10,000 routes. Aliases are not followed: what
 * they stand for is looked at where it stands.
 */
export function duplicateKeys(root: Node | null): number[] {
  const found: number[] = []
  const open: unknown[] = [root]
  while (open.length > 0) {
    const node = open.pop()
    if (isSeq(node)) for (const item of node.items) open.push(item)
    if (!isMap(node)) continue
    const before = new Set<unknown>()
    for (const { key, value } of node.items) {
      open.push(key, value)
      if (!isScalar(key)) continue
      if (before.has(key.value)) found.push(key.range?.[0] ?? 0)
      before.add(key.value)
    }
  }
  return found
}
