// Vitest's fake timers, for code that imports its clock: they replace the global `performance` and not the module's.
import { performance } from 'node:perf_hooks'
import { vi } from 'vitest'

export function useFakeTime(config?: Parameters<typeof vi.useFakeTimers>[0]): void {
  vi.useFakeTimers(config)
  vi.spyOn(performance, 'now').mockImplementation(() => globalThis.performance.now())
}

export function useRealTime(): void {
  vi.mocked(performance.now).mockRestore()
  vi.useRealTimers()
}
