import { spawn } from 'node:child_process'
import { expect, it, vi } from 'vitest'
import { canPin, MEASURED, pinned } from '../../bench/load/pinning.ts'
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

it.skipIf(!hasProcfs)(
  'tells what a serving thread has used and waited, and of no other thread, where one is named so',
  { timeout: 30_000 },
  async () => {
    const work = 'for (;;);'
    // Two of one name on one processor: each is ready to run while the other does, until both are ended.
    const code = `const { Worker } = require('node:worker_threads')
    for (let each = 0; each < 2; each++) new Worker(${JSON.stringify(work)}, { eval: true, name: 'serving-' + each })`
    const [command, ...args] = pinned(canPin ? MEASURED : undefined, [process.execPath, '-e', code])
    const child = spawn(command!, args, { stdio: 'ignore' })
    try {
      const isServing = ([name]: [string, number]) => name.startsWith('serving-')
      await vi.waitFor(
        () => {
          const { servingNs, servingWaitedNs, byThread } = cpuOf(child.pid!)!
          expect([...byThread].filter(isServing)).toHaveLength(2)
          expect(servingNs).toBeGreaterThan(300e6)
          if (canPin) expect(servingWaitedNs).toBeGreaterThan(50e6)
        },
        { timeout: 20_000 },
      )
      const { servingNs, treeNs, byThread } = cpuOf(child.pid!)!
      expect(servingNs).toBe([...byThread].filter(isServing).reduce((sum, [, ns]) => sum + ns, 0))
      expect(servingNs).toBeLessThan(treeNs)
    } finally {
      child.kill('SIGKILL')
    }
  },
)

it.skipIf(!hasProcfs)('tells nothing used of a process that is not there', () => {
  expect(cpuOf(2 ** 22)).toMatchObject({ servingNs: 0, servingWaitedNs: 0, treeNs: 0 })
})
