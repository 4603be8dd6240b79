import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // Real processes and sockets: forks keep a crash in one file. Gateways are mostly waited for, so three at a time suit a
    // two-core machine.
    pool: 'forks',
    maxWorkers: 3,
    testTimeout: 30_000,
    hookTimeout: 60_000,
    teardownTimeout: 10_000,
    // Gateways, upstreams and browsers share a CI machine with strangers: one more try there, which the summary names.
    retry: process.env.CI === undefined ? 0 : 1,
  },
})
