import { expect, it } from 'vitest'
import { startPeer } from '../../bench/load/processes.ts'
import { cpuOf, hasProcfs } from '../../bench/load/procfs.ts'

it.skipIf(!hasProcfs)(
  'tells what a process has used by thread, and that its main thread serves where none is named so',
  async () => {
    const peer = await startPeer('upstream', ['1.0.0'])
    try {
      const before = cpuOf(peer.pid)!
      for (let request = 0; request < 50; request++) {
        await fetch(`http://127.0.0.1:${peer.ready.port}/v2/models/m/infer`, { method: 'POST', body: '{}' })
      }
      const after = cpuOf(peer.pid)!
      expect(after.servingNs).toBeGreaterThan(before.servingNs)
      expect(after.treeNs).toBeGreaterThanOrEqual(after.servingNs)
      expect([...after.byThread.values()].reduce((sum, ns) => sum + ns, 0)).toBe(after.treeNs)
      expect(after.servingWaitedNs).toBeGreaterThan(0)
    } finally {
      await peer.close()
    }
  },
)

it.skipIf(!hasProcfs)('tells nothing used of a process that is not there', () => {
  expect(cpuOf(2 ** 22)).toMatchObject({ servingNs: 0, servingWaitedNs: 0, treeNs: 0 })
})
