import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // Real processes and sockets: forks keep a crash in one file. Gateways are mostly waited for, so three at a time suit a
    // two-core machine.
    pool: 'forks',
    maxWorkers: 3,
    // A gateway starts with its threads and scoring processes: compiled once, that costs half.
    env: { NODE_COMPILE_CACHE: fileURLToPath(new URL('node_modules/.cache/compiled', import.meta.url)) },
    testTimeout: 30_000,
    hookTimeout: 60_000,
    teardownTimeout: 10_000,
    // Gateways, upstreams and browsers share a CI machine with strangers: one more try there, which the summary names.
    retry: process.env.CI === undefined ? 0 : 1,
  },
})
