import { createHmac } from 'node:crypto';
import { normalForm } from '../text/normal-form.js';

/** Bits that tell two values apart for sure among billions, and are short enough to read. */
const HEX_CHARACTERS = 32;

/**
 * What is stored in place of a personal value: the same for the same value, so that a patient can be found by it, and of no
 * use to whoever has not the key. (HMAC-SHA-256, RFC 2104; a plain hash of a phone number is undone by trying all of them.)
 * @param key REDACTION_KEY; without it the value leaves no trace
 */
export function keyedHash(value: unknown, key: string | undefined): string {
  if (key === undefined) return '[Personal]';
  return `pii:${createHmac('sha256', key).update(searchForm(value)).digest('hex').slice(0, HEX_CHARACTERS)}`;
}

/** Whoever searches for 5550100 means '5550100' too, so both have one hash. */
const searchForm = (value: unknown): string => normalForm((typeof value === 'string' ? value : JSON.stringify(value)).trim(), 'NFC');
