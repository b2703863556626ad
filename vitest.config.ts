import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['{protocol,collector,aggregator,cli,test,docs}/**/*.test.ts'],
    testTimeout: 20_000,
    hookTimeout: 60_000,
    // What is waited for takes as long as the machine is busy.
    expect: { poll: { timeout: 15_000 } },
    pool: 'forks',
    maxWorkers: 2,
  },
})
