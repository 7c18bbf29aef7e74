import { createLocalJWKSet, errors, type JWTVerifyGetKey } from 'jose';
import { ServiceError } from '../errors/service-error.js';
import logger from '../logging.js';
import { fetchKeySet, type KeyAlgorithm } from './key-set.js';

const TAG = 'auth';

/** Times in ms. */
export interface KeyStoreOptions {
  /** https, but for tests. */
  readonly url: string;
  /** What the keys are for; others in the set are left out. Default: RS256. */
  readonly algorithm?: KeyAlgorithm;
  /** Keys of this age are asked for again. */
  readonly freshFor?: number;
  /** Between two tries to get them, whatever the reason: a flood of made-up key ids is no flood at the key server. */
  readonly coolDown?: number;
  /** Keys serve for so long while the key server does not. */
  readonly staleFor?: number;
}

interface Keys {
  readonly find: ReturnType<typeof createLocalJWKSet>;
  readonly at: number;
}

const HOUR = 3_600_000;

/**
 * The public keys of a JSON Web Key Set (RFC 7517), fetched at the first use and kept. An id that is not among them asks for
 * them anew, once in a cool-down. While the key server fails, those at hand serve for a day.
 * @returns what jose's jwtVerify takes. It throws ServiceError 503 when there are no keys, or when the key server failed as it was last
 * asked and the key is not at hand: it may be a new one. For an unknown key it throws jose's JWKSNoMatchingKey
 */
export function createKeyStore({ url, algorithm = 'RS256', freshFor = HOUR, coolDown = 30_000, staleFor = 24 * HOUR }: KeyStoreOptions): JWTVerifyGetKey {
  let keys: Keys | undefined;
  let refreshing: Promise<void> | undefined;
  let triedAt = -Infinity;
  let hasFailed = false;

  /** Never rejects. */
  const replaceKeys = async (): Promise<void> => {
    try {
      keys = { find: createLocalJWKSet(await fetchKeySet(url, algorithm)), at: performance.now() };
      hasFailed = false;
    } catch (error) {
      hasFailed = true;
      logger.error(error, { tag: TAG, during: 'fetching the keys that sign identity tokens', haveKeys: keys !== undefined });
    }
  };

  const refresh = (): Promise<void> => {
    if (refreshing) return refreshing;
    if (performance.now() - triedAt < coolDown) return Promise.resolve();
    triedAt = performance.now();
    refreshing = replaceKeys().finally(() => (refreshing = undefined));
    return refreshing;
  };

  const current = async (): Promise<Keys> => {
    const age = keys ? performance.now() - keys.at : Infinity;
    if (age > staleFor) await refresh();
    // Those at hand are still good: nobody waits for newer ones.
    else if (age > freshFor) void refresh();
    if (!keys || performance.now() - keys.at > staleFor) throw noKeys();
    return keys;
  };

  return async (header, token) => {
    // Without an id, jose would take the only key there is.
    if (typeof header.kid !== 'string' || header.kid === '') throw new errors.JWKSNoMatchingKey();
    const { find } = await current();
    return find(header, token).catch(async (error: unknown) => {
      if (!(error instanceof errors.JWKSNoMatchingKey)) throw error;
      await refresh();
      const { find: findAgain } = await current();
      return findAgain(header, token).catch((again: unknown) => {
        throw hasFailed && again instanceof errors.JWKSNoMatchingKey ? noKeys() : again;
      });
    });
  };
}

const noKeys = (): ServiceError =>
  new ServiceError(503, 'The keys that sign identity tokens cannot be reached, so nobody can be made out. Send it again.', { retryAfterSeconds: 30 });
