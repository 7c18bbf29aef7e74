import path from 'node:path';
import { type AppParts, createApp } from '@commons/backend/app.js';
import { createAuthenticator } from '@commons/backend/lib/auth/authenticator.js';
import { envConfig } from '@commons/backend/lib/env-config.js';
import { createJobRegistry, type JobRegistry } from '@commons/backend/lib/job-files/registry.js';

const FIXTURES = path.resolve(__dirname, '../fixtures/jobs');

/** The registry of a folder of jobs, by default the fixtures. */
export const testRegistry = (folder = FIXTURES): JobRegistry =>
  createJobRegistry({ folder, importFile: (file) => import(file), loadTimeoutMs: 5_000 });

/** The whole app over the fixture jobs, as the service builds it. */
export const testApp = (registry = testRegistry(), parts: Partial<AppParts> = {}) =>
  createApp({
    registry,
    bodyLimit: 1_048_576,
    whyNotReady: async () => undefined,
    authenticate: createAuthenticator(envConfig().auth),
    isLocal: true,
    whyFull: () => undefined,
    trustedProxies: 0,
    ...parts,
  });
