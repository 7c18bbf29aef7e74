import { toUSVString } from 'node:util';

/**
 * `text` as Postgres' text and jsonb take it: NUL and lone surrogates become U+FFFD. The same string where there is nothing
 * to replace. https://www.postgresql.org/docs/current/datatype-character.html
 */
export function cleanText(text: string): string {
  const wellFormed = toUSVString(text);
  return wellFormed.includes('\0') ? wellFormed.replaceAll('\0', '\uFFFD') : wellFormed;
}

/** The size of `text` in UTF-8 is at most `bytes`; the text is measured only where its length does not say it already. */
export const fitsIn = (text: string, bytes: number): boolean =>
  text.length * 3 <= bytes || (text.length <= bytes && Buffer.byteLength(text) <= bytes);

/**
 * `text` for a text column: clean, and at most `maxBytes` of UTF-8. A longer one is cut in its middle, between characters,
 * and the cut says how many bytes there were: the end of a message often says what matters (knex puts the SQL before it).
 */
export function toStorableText(text: string, maxBytes: number): string {
  if (fitsIn(text, maxBytes)) {
    const clean = cleanText(text);
    // A NUL is one byte and its replacement three.
    if (clean === text || fitsIn(clean, maxBytes)) return clean;
  }
  return joinedAtCut(text, text, Buffer.byteLength(text), maxBytes);
}

/** The beginning of `head` and the end of `tail`, as toStorableText() shows those of a text of so many bytes. */
export function joinedAtCut(head: string, tail: string, bytes: number, maxBytes: number): string {
  const mark = ` […${bytes} bytes in all…] `;
  const room = maxBytes - Buffer.byteLength(mark);
  if (room < 2) return firstBytes(head, maxBytes);
  const end = lastBytes(tail, Math.floor(room / 2));
  return firstBytes(head, room - Buffer.byteLength(end)) + mark + end;
}

/**
 * The longest beginning that is clean and has at most `bytes` of UTF-8. A copy: a mere slice would keep the whole, perhaps
 * huge, text in memory.
 */
export function firstBytes(text: string, bytes: number): string {
  const encoded = Buffer.from(cleanText(text.slice(0, bytes)));
  let end = Math.min(bytes, encoded.length);
  while (end > 0 && isInsideCharacter(encoded, end)) end--;
  return encoded.toString('utf8', 0, end);
}

function lastBytes(text: string, bytes: number): string {
  const encoded = Buffer.from(cleanText(text.slice(-bytes)));
  let start = Math.max(0, encoded.length - bytes);
  while (start < encoded.length && isInsideCharacter(encoded, start)) start++;
  return encoded.toString('utf8', start);
}

/** UTF-8's bytes after a character's first are 10xxxxxx (RFC 3629, 3). */
const isInsideCharacter = (encoded: Buffer, at: number): boolean => at < encoded.length && ((encoded[at] ?? 0) & 0xc0) === 0x80;
