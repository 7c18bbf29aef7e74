import defaultImport, { envConfig, readEnvConfig } from '@commons/backend/lib/env-config.js';
import { byName } from '@commons/backend/lib/environment/by-name.js';

describe('envConfig, as job files use it', () => {
  it('is the same by a default and by a named import, and can still be called', () => {
    expect(defaultImport).toBe(envConfig);
    expect(envConfig().deployment).toBe('local');
    expect(envConfig.DEPLOYMENT).toBe('local');
  });

  it('has every variable of the service by its own name, checked', () => {
    const config = readEnvConfig({ RUN_TIMEOUT: '90s', DATABASE_POOL_MAX: '7', BODY_LIMIT: '2mb' });
    const named = byName(() => config, ['auth', 'datadogHost', 'datadogPort']);
    expect(named.RUN_TIMEOUT).toBe(90_000);
    expect(named.DATABASE_POOL_MAX).toBe(7);
    expect(named.BODY_LIMIT).toBe(2_097_152);
    expect(named.DATABASE_URL).toBeUndefined();
    const names = Object.keys(config).filter((name) => !['auth', 'datadogHost', 'datadogPort'].includes(name)).map((name) => name.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase());
    for (const name of names) expect(() => (named as unknown as Record<string, unknown>)[name]).not.toThrow();
    expect(names.length).toBeGreaterThan(30);
  });

  it('throws for a variable that it does not know, and says what to write', () => {
    expect(() => (envConfig as unknown as { MY_URL: string }).MY_URL).toThrow("envConfig.MY_URL is no variable of the service. For one of your own write: envConfig.get('MY_URL')");
  });

  it('says how to write a name that is a property of envConfig()', () => {
    const asProperty = envConfig as unknown as Record<string, unknown>;
    expect(() => asProperty.deployment).toThrow('envConfig has its variables by their own names: write envConfig.DEPLOYMENT, or envConfig().deployment');
    expect(() => asProperty.AUTH).toThrow('envConfig.AUTH is one of several variables that belong together: write envConfig().auth');
    expect(() => envConfig.get('toString')).toThrow('The environment variable toString is not set');
  });

  it('cannot be written to', () => {
    expect(() => Object.assign(envConfig, { DEPLOYMENT: 'production' })).toThrow(TypeError);
    expect(envConfig.DEPLOYMENT).toBe('local');
  });

  it('reads nothing before it is asked', () => {
    const read = jest.fn(() => readEnvConfig({}));
    const named = byName(read, []);
    expect(read).not.toHaveBeenCalled();
    expect(named.PORT).toBe(8080);
    expect(read).toHaveBeenCalledTimes(1);
  });

  it('gives a variable of the job\'s own, or says that it is not set', () => {
    process.env.MY_URL = ' https://example.com ';
    process.env.MY_EMPTY = ' ';
    try {
      expect(envConfig.get('MY_URL')).toBe('https://example.com');
      expect(envConfig.get('MY_EMPTY', 'none')).toBe('none');
      expect(() => envConfig.get('MY_EMPTY')).toThrow("The environment variable MY_EMPTY is not set. Set it, or give a default: envConfig.get('MY_EMPTY', '...')");
    } finally {
      delete process.env.MY_URL;
      delete process.env.MY_EMPTY;
    }
  });
});
