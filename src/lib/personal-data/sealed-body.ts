import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto';

/** The keys of BODY_KEYS: the first seals, each of them opens, so that a key can be replaced. 32 bytes each. */
export type BodyKeys = readonly Buffer[];

const ALGORITHM = 'aes-256-gcm';
/** NIST SP 800-38D, 5.2.1.1 and 8.2. */
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const KEY_ID_BYTES = 4;
const VERSION = 1;

/**
 * Reads keys: base64 of 32 bytes each, with commas between them.
 * @throws {RangeError} that does not repeat the text
 */
export function parseBodyKeys(text: string): BodyKeys {
  return text.split(',').map((part) => {
    const key = Buffer.from(part.trim(), 'base64');
    if (key.length !== 32) throw new RangeError('it is no key, or list of keys with commas between them: make one by openssl rand -base64 32');
    return key;
  });
}

/**
 * Encrypts a run's body. It opens for the same run alone, so that nobody can put it into another row.
 * @returns version, key id, nonce, tag and ciphertext, one behind the other
 */
export function sealBody(text: string, runId: string, [key]: BodyKeys): Buffer {
  if (!key) throw new Error('there is no key to seal a body with');
  const nonce = randomBytes(NONCE_BYTES);
  const header = Buffer.concat([Buffer.of(VERSION), keyId(key)]);
  const cipher = createCipheriv(ALGORITHM, key, nonce, { authTagLength: TAG_BYTES }).setAAD(Buffer.concat([header, Buffer.from(runId)]));
  const sealed = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()]);
  return Buffer.concat([header, nonce, cipher.getAuthTag(), sealed]);
}

/** The body, or undefined when none of the keys opens it for this run: its key is gone, or it was tampered with. */
export function openBody(sealed: Buffer, runId: string, keys: BodyKeys): string | undefined {
  const header = sealed.subarray(0, 1 + KEY_ID_BYTES);
  const key = keys.find((each) => sealed[0] === VERSION && header.subarray(1).equals(keyId(each)));
  if (!key) return undefined;
  const [nonceEnd, tagEnd] = [header.length + NONCE_BYTES, header.length + NONCE_BYTES + TAG_BYTES];
  try {
    const decipher = createDecipheriv(ALGORITHM, key, sealed.subarray(header.length, nonceEnd), { authTagLength: TAG_BYTES });
    decipher.setAAD(Buffer.concat([header, Buffer.from(runId)])).setAuthTag(sealed.subarray(nonceEnd, tagEnd));
    return Buffer.concat([decipher.update(sealed.subarray(tagEnd)), decipher.final()]).toString('utf8');
  } catch {
    return undefined;
  }
}

const keyId = (key: Buffer): Buffer => createHash('sha256').update('body-key-id').update(key).digest().subarray(0, KEY_ID_BYTES);
