import { importJWK, type JSONWebKeySet, type JWK } from 'jose';

/** The signature algorithms of identity tokens and of IAP's assertions; the keys of each are of another kind (RFC 7518, 6.1). */
export type KeyAlgorithm = 'RS256' | 'ES256';

const KIND: Readonly<Record<KeyAlgorithm, string>> = { RS256: 'RSA', ES256: 'EC' };
const FETCH_TIMEOUT = 5_000;
const MOST_BYTES = 1_048_576;
/** Google publishes two to six. Each one is parsed. */
const MOST_KEYS = 100;
/** RFC 7518, 3.3. */
const LEAST_RSA_BITS = 2_048;

/**
 * The keys of a JSON Web Key Set (RFC 7517) by which a signature of `algorithm` can be verified: public, of its kind, with an id. Others in
 * the set are left out.
 * @throws {Error} for whatever is not such a set, or has no such key. No part of the answer is in its message
 */
export async function fetchKeySet(url: string, algorithm: KeyAlgorithm): Promise<JSONWebKeySet> {
  const response = await fetch(url, { redirect: 'error', signal: AbortSignal.timeout(FETCH_TIMEOUT), headers: { Accept: 'application/json' } });
  if (!response.ok) {
    await response.body?.cancel();
    throw new Error(`${url} answered ${response.status}`);
  }
  const listed = keysIn(await boundedText(response, url));
  if (!listed) throw new Error(`${url} answered with no JSON Web Key Set`);
  if (listed.length > MOST_KEYS) throw new Error(`${url} answered with ${listed.length} keys, and ${MOST_KEYS} are the most that are read`);
  const usable = await Promise.all(listed.map(async (key) => ((await isUsable(key, algorithm)) ? (key as JWK) : undefined)));
  const keys = usable.filter((key) => key !== undefined);
  if (keys.length === 0) throw new Error(`${url} answered with ${listed.length} keys, and none of them is a public key with an id for ${algorithm}`);
  if (new Set(keys.map(({ kid }) => kid)).size < keys.length) throw new Error(`${url} answered with two keys of the same id`);
  return { keys };
}

function keysIn(text: string): readonly unknown[] | undefined {
  let set: unknown;
  try {
    set = JSON.parse(text);
  } catch {
    return undefined; // The parser's message quotes the text.
  }
  const { keys } = (set ?? {}) as { keys?: unknown };
  return Array.isArray(keys) ? keys : undefined;
}

async function isUsable(key: unknown, algorithm: KeyAlgorithm): Promise<boolean> {
  if (typeof key !== 'object' || key === null) return false;
  const { kid, kty, use = 'sig', alg = algorithm } = key as Record<string, unknown>;
  if (typeof kid !== 'string' || kid === '' || kty !== KIND[algorithm] || use !== 'sig' || alg !== algorithm) return false;
  try {
    const imported = await importJWK(key as JWK, algorithm);
    if (imported instanceof Uint8Array || imported.type !== 'public') return false;
    const { modulusLength = LEAST_RSA_BITS } = imported.algorithm as { modulusLength?: number };
    return modulusLength >= LEAST_RSA_BITS;
  } catch {
    return false; // Its numbers are none, or make no key.
  }
}

async function boundedText(response: Response, url: string): Promise<string> {
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const part of response.body ?? []) {
    size += part.byteLength;
    if (size > MOST_BYTES) throw new Error(`${url} answered with more than ${MOST_BYTES} bytes`);
    parts.push(part);
  }
  return Buffer.concat(parts).toString('utf8');
}
