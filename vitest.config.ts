import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    setupFiles: ['test/support/setup.ts'],
    // Against tests that never end only: other work on the machine must not decide.
    testTimeout: 300_000,
    hookTimeout: 300_000,
    // By default one processor is left free, which on a machine of two leaves but one at work.
    maxWorkers: '100%',
    reporters:
      process.env['CI'] === undefined ? ['default'] : ['default', ['json', { outputFile: 'test-results.json' }]],
  },
});
