/**
 * What a spec gives to jest.mock() in place of lib/env-config.ts: the same, with these variables in the environment.
 *
 * ```ts
 * jest.mock('@commons/backend/lib/env-config.js', () => jest.requireActual('@commons/backend/__tests__/helpers/env-config-with.js').envConfigWith({ DEPLOYMENT: 'staging' }));
 * ```
 */
export function envConfigWith(variables: Readonly<Record<string, string>>) {
  const actual = jest.requireActual<typeof import('@commons/backend/lib/env-config.js')>('@commons/backend/lib/env-config.js');
  const { byName } = jest.requireActual<typeof import('@commons/backend/lib/environment/by-name.js')>('@commons/backend/lib/environment/by-name.js');
  Object.assign(process.env, variables);
  const config = actual.readEnvConfig(process.env);
  const envConfig = byName(() => config, ['auth', 'datadogHost', 'datadogPort']);
  return { ...actual, __esModule: true, default: envConfig, envConfig };
}
