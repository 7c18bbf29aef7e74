import { EnvConfigError, readEnvConfig } from '@commons/backend/lib/env-config.js';

describe('readEnvConfig', () => {
  it('needs nothing: every variable has a default', () => {
    expect(readEnvConfig({})).toMatchObject({ host: '127.0.0.1', port: 8080, databaseUrl: undefined, shutdownGrace: 8_000, bodyLimit: 1_048_576 });
  });

  it('reads sizes, durations and words', () => {
    const config = readEnvConfig({ BODY_LIMIT: '2mb', SHUTDOWN_GRACE: '90s', DEPLOYMENT: 'production', MIGRATE_ON_START: 'no', PORT: '0' });
    expect(config).toMatchObject({ bodyLimit: 2_097_152, shutdownGrace: 90_000, deployment: 'production', migrateOnStart: false, port: 0 });
  });

  it('takes an empty variable for one that is not set', () => {
    expect(readEnvConfig({ PORT: '', HOST: '  ' })).toMatchObject({ port: 8080, host: '127.0.0.1' });
  });

  it('cannot be changed', () => {
    expect(Object.isFrozen(readEnvConfig({}))).toBe(true);
  });

  it('names everything that is wrong at once, each with what is allowed', () => {
    const read = () => readEnvConfig({ PORT: 'eighty', LOG_LEVEL: 'loud', RUN_LEASE: '15', BODY_LIMIT: '1 gb' });
    expect(read).toThrow(EnvConfigError);
    expect(read).toThrow(/PORT: 'eighty' is no whole number from 0 to 65535/);
    expect(read).toThrow(/LOG_LEVEL: 'loud' is none of debug, info, warn, error, silent/);
    expect(read).toThrow(/RUN_LEASE: '15' is not a duration/);
    expect(read).toThrow(/BODY_LIMIT: '1 gb' is no size/);
  });

  it('knows where outside systems are, and says what is wrong with an address', () => {
    expect(readEnvConfig({})).toMatchObject({ objectStorage: 'file:./exports', bigqueryProject: undefined, datadogHost: undefined, datadogPort: 8125 });
    expect(readEnvConfig({ GOOGLE_CLOUD_PROJECT: 'a' })).toMatchObject({ bigqueryProject: 'a' });
    expect(readEnvConfig({ GOOGLE_CLOUD_PROJECT: 'a', BIGQUERY_PROJECT: 'b', OBJECT_STORAGE: 'gs://bucket/x' })).toMatchObject({ bigqueryProject: 'b', objectStorage: 'gs://bucket/x' });
    const read = () => readEnvConfig({ OBJECT_STORAGE: 's3://x', BIGQUERY_ENDPOINT: 'localhost', DD_DOGSTATSD_PORT: '0' });
    expect(read).toThrow(/OBJECT_STORAGE: 's3:\/\/x' is no object storage/);
    expect(read).toThrow(/BIGQUERY_ENDPOINT: it is no address/);
    expect(read).toThrow(/DD_DOGSTATSD_PORT: '0' is no whole number/);
  });

  it('knows from which hosts a source may come', () => {
    expect(readEnvConfig({})).toMatchObject({ sourceFolder: undefined, sourceHosts: undefined });
    expect(readEnvConfig({ SOURCE_HOSTS: 'Example.com, example.org' }).sourceHosts).toEqual(new Set(['example.com', 'example.org']));
    for (const wrong of ['https://example.com', 'example.com:81', 'example.com/x', 'a b', 'a@b', ',']) expect(() => readEnvConfig({ SOURCE_HOSTS: wrong })).toThrow(/SOURCE_HOSTS: '.*' is no host/);
  });

  it('never repeats a database address, which holds a password', () => {
    const read = () => readEnvConfig({ DATABASE_URL: 'mysql://user:hunter2@host/db' });
    expect(read).toThrow(/DATABASE_URL: it is no Postgres address/);
    expect(read).not.toThrow(/hunter2/);
  });
});
