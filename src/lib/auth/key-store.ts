import { createLocalJWKSet, errors, type JSONWebKeySet, type JWTVerifyGetKey } from 'jose';
import { ServiceError } from '../service-error.js';
import logger from '../logging.js';

const TAG = 'auth';

/** Times in ms. */
export interface KeyStoreOptions {
  /** https, but for tests. */
  readonly url: string;
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
const FETCH_TIMEOUT = 5_000;
const MOST_BYTES = 1_048_576;

/**
 * The public keys of a JSON Web Key Set (RFC 7517), fetched at the first use and kept. An id that is not among them asks for
 * them anew, once in a cool-down. While the key server fails, those at hand serve for a day.
 * @returns what jose's jwtVerify takes. It throws ServiceError 503 when there are no keys, jose's JWKSNoMatchingKey for an unknown one
 */
export function createKeyStore({ url, freshFor = HOUR, coolDown = 30_000, staleFor = 24 * HOUR }: KeyStoreOptions): JWTVerifyGetKey {
  let keys: Keys | undefined;
  let refreshing: Promise<void> | undefined;
  let triedAt = -Infinity;

  const refresh = (): Promise<void> => {
    if (refreshing) return refreshing;
    if (performance.now() - triedAt < coolDown) return Promise.resolve();
    triedAt = performance.now();
    refreshing = fetchKeys(url)
      .then(
        (found) => void (keys = { find: createLocalJWKSet(found), at: performance.now() }),
        (error: unknown) => logger.error(error, { tag: TAG, during: 'fetching the keys that sign identity tokens', haveKeys: keys !== undefined }),
      )
      .finally(() => (refreshing = undefined));
    return refreshing;
  };

  const current = async (): Promise<Keys> => {
    const age = keys ? performance.now() - keys.at : Infinity;
    if (age > staleFor) await refresh();
    // Those at hand are still good: nobody waits for newer ones.
    else if (age > freshFor) void refresh();
    if (!keys || performance.now() - keys.at > staleFor) {
      throw new ServiceError(503, 'The keys that sign identity tokens cannot be reached, so nobody can be made out. Send it again.', { retryAfterSeconds: 30 });
    }
    return keys;
  };

  return async (header, token) => {
    // Without an id, jose would take the only key there is.
    if (typeof header.kid !== 'string' || header.kid === '') throw new errors.JWKSNoMatchingKey();
    const { find } = await current();
    try {
      return await find(header, token);
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey)) throw error;
      await refresh();
      return (await current()).find(header, token);
    }
  };
}

async function fetchKeys(url: string): Promise<JSONWebKeySet> {
  const response = await fetch(url, { redirect: 'error', signal: AbortSignal.timeout(FETCH_TIMEOUT), headers: { Accept: 'application/json' } });
  if (!response.ok) {
    await response.body?.cancel();
    throw new Error(`${url} answered ${response.status}`);
  }
  const text = await boundedText(response);
  return JSON.parse(text) as JSONWebKeySet;
}

async function boundedText(response: Response): Promise<string> {
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const part of response.body ?? []) {
    size += part.byteLength;
    if (size > MOST_BYTES) throw new Error(`the keys are over ${MOST_BYTES} bytes`);
    parts.push(part);
  }
  return Buffer.concat(parts).toString('utf8');
}
