/** @jest-config-loader esbuild-register */
import type { Config } from 'jest';

export default {
  roots: ['<rootDir>/src'],
  testMatch: ['**/*.spec.ts'],
  globalSetup: '<rootDir>/src/__tests__/helpers/start-test-postgres.ts',
  globalTeardown: '<rootDir>/src/__tests__/helpers/stop-test-postgres.ts',
  testEnvironment: '<rootDir>/src/__tests__/helpers/leaves-nothing-environment.ts',
  testSequencer: '<rootDir>/src/__tests__/helpers/longest-first.mjs',
  setupFiles: ['<rootDir>/src/__tests__/helpers/quiet-log.ts'],
  setupFilesAfterEnv: ['<rootDir>/src/__tests__/helpers/own-database.ts'],
  // Tests run as CommonJS, so that jest.mock() is hoisted and works as job authors write it; the server itself runs as
  // ES modules (esm.spec.ts imports every job that way).
  transform: {
    '\\.tsx?$': ['ts-jest', { tsconfig: { module: 'commonjs', isolatedModules: true } }],
    // What comes as ES modules alone.
    'node_modules/jose/.+\\.js$': ['ts-jest', { tsconfig: { module: 'commonjs', isolatedModules: true, allowJs: true } }],
  },
  transformIgnorePatterns: ['/node_modules/(?!jose/)'],
  // Relative imports end in .js, as Node wants them; here the file is still a .ts.
  moduleNameMapper: { '^(\\.{1,2}/.*)\\.js$': '$1' },
  // One more than most small machines have cores, since many specs wait for processes, leases and deadlines.
  maxWorkers: 3,
  // Only a hang takes that long, on a loaded machine too.
  testTimeout: 120_000,
} satisfies Config;
