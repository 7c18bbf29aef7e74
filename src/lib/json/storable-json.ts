import { cleanText, firstBytes, fitsIn } from '../text/storable-text.js';

/** Deeper nesting is stored as a note: how deep Postgres itself follows depends on its max_stack_depth. */
const MOST_DEPTH = 1_000;
/** How much of a text that is too big its note shows. */
const HEAD_BYTES = 2_048;

/**
 * JSON text as Postgres' jsonb takes it (https://www.postgresql.org/docs/current/datatype-json.html): \u0000 and lone
 * surrogates, which jsonb refuses, become U+FFFD. A text of more than `maxBytes` of UTF-8 becomes the small note
 * `{"truncated":true,"bytes":N,"head":"..."}`, one that is nested more than 1,000 deep `{"tooDeep":true,"bytes":N}`.
 * @param mayShow how many characters of the beginning a note may show at most
 */
export function toStorableJson(text: string, maxBytes: number, mayShow = text.length): string {
  if (!fitsIn(text, maxBytes)) return truncationNote(text, maxBytes, mayShow);
  if (isNestedDeeper(text, MOST_DEPTH)) return JSON.stringify({ tooDeep: true, bytes: Buffer.byteLength(text) });
  const clean = cleanEscapes(cleanText(text));
  // A raw NUL is one byte and its replacement three.
  return clean === text || fitsIn(clean, maxBytes) ? clean : truncationNote(text, maxBytes, mayShow);
}

function truncationNote(text: string, maxBytes: number, mayShow: number): string {
  const bytes = Buffer.byteLength(text);
  // Quotes and backslashes take more room inside a JSON string, so the head may need to be shorter than it looks.
  for (let size = Math.min(HEAD_BYTES, maxBytes); size > 0; size >>= 1) {
    const note = JSON.stringify({ truncated: true, bytes, head: firstBytes(text.slice(0, mayShow), size) });
    if (fitsIn(note, maxBytes)) return note;
  }
  return JSON.stringify({ truncated: true, bytes });
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/** Whether JSON text is nested more than so many levels deep. */
export function isNestedDeeper(text: string, levels: number): boolean {
  // Each level takes a bracket to open it and one to close it.
  if (text.length <= 2 * levels) return false;
  let depth = 0;
  for (let at = 0; at < text.length; at++) {
    switch (text.charCodeAt(at)) {
      case QUOTE:
        at = endOfString(text, at);
        break;
      case 0x5b: // [
      case 0x7b: // {
        if (++depth > levels) return true;
        break;
      case 0x5d: // ]
      case 0x7d: // }
        depth--;
    }
  }
  return false;
}

/** Where the quote is that closes the string whose first quote is at `start`. */
function endOfString(text: string, start: number): number {
  let at = start + 1;
  for (; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    if (unit === QUOTE) break;
    if (unit === BACKSLASH) at++;
  }
  return at;
}

/** A look only: it also finds what an escaped backslash makes harmless, and pairs of surrogates. */
const MAY_BE_BAD = /\\u(?:0000|d[89a-f])/i;
/** Every escape whole, so that a backslash which is itself escaped never starts one: a pair of surrogates, a refused one, any other. */
const ESCAPE = /\\ud[89ab][\da-f]{2}\\ud[c-f][\da-f]{2}|(\\u(?:0000|d[89a-f][\da-f]{2}))|\\[^]/gi;

const cleanEscapes = (text: string): string =>
  text.includes('\\u') && MAY_BE_BAD.test(text)
    ? text.replace(ESCAPE, (escape: string, refused: string | undefined) => (refused === undefined ? escape : '\\ufffd'))
    : text;
