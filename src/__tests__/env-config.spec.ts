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

  it('never repeats a database address, which holds a password', () => {
    const read = () => readEnvConfig({ DATABASE_URL: 'mysql://user:hunter2@host/db' });
    expect(read).toThrow(/DATABASE_URL: it is no Postgres address/);
    expect(read).not.toThrow(/hunter2/);
  });
});
