import defaultImport, { envConfig } from '@commons/backend/lib/env-config.js';
import { openObjectStorage } from '@commons/backend/apis/object-storage/object-storage.js';

jest.mock('@commons/backend/lib/env-config.js', () =>
  jest.requireActual<typeof import('../helpers/env-config-with.js')>('../helpers/env-config-with.js').envConfigWith({ DEPLOYMENT: 'staging', OBJECT_STORAGE: 'gs://a-bucket', MY_URL: 'https://example.com' }));

it('a spec may have another environment: by either import, by either name, for the job and for what it calls', () => {
  expect(envConfig).toBe(defaultImport);
  expect([envConfig.DEPLOYMENT, envConfig().deployment, envConfig.get('MY_URL')]).toEqual(['staging', 'staging', 'https://example.com']);
  expect(openObjectStorage().constructor.name).toBe('GcsStorage');
});
