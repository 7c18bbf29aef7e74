import { withoutCredentials } from './credentials.js';
import type { Scrub } from '../personal-data/scrubber.js';
import { joinedAtCut, toStorableText } from './storable-text.js';

/** What is looked through beyond that which is shown, at either cut. Headers are no longer (Node's --max-http-header-size). */
const MARGIN = 16_384;
/** A personal value is looked for in pieces of so many characters; half of one is not found. */
const LONGEST_PIECE = 1_000;

/** How many characters of a text are looked through in order to show `mostBytes` of it. */
export const charactersRead = (text: string, mostBytes: number): number => Math.min(text.length, 2 * (mostBytes + MARGIN));

/**
 * `text` as a log or a row shows it: without personal values and credentials, clean for Postgres, and in `mostBytes` of UTF-8, with
 * its middle left out where it is longer. Of a text that is much longer, nothing but its ends is looked at; there, what may be half of
 * a value or of a token at the cut is left out too.
 */
export function shownText(text: string, mostBytes: number, scrub: Scrub = asItIs): string {
  const window = mostBytes + MARGIN;
  const clean = (part: string): string => withoutCredentials(scrub(part));
  if (text.length <= 2 * window) return toStorableText(clean(text), mostBytes);
  return joinedAtCut(withoutCutEnd(clean(text.slice(0, window))), withoutCutStart(clean(text.slice(-window))), Buffer.byteLength(text), mostBytes);
}

const asItIs: Scrub = (text) => text;

/** The run of characters at the cut goes: all of it where it may be a secret that begins in it, else as much as a secret is long. */
function withoutCutEnd(head: string): string {
  const start = startOfLastRun(head);
  const mayBeSecret = /eyJ|:\/\//.test(head.slice(start)) || /(?:bearer|basic) $/i.test(head.slice(Math.max(0, start - 7), start));
  return head.slice(0, Math.max(0, Math.min(head.length - LONGEST_PIECE, mayBeSecret ? start : Math.max(start, head.length - MARGIN))));
}

/** Nothing is known of what began before the cut. A run that goes on beyond the margin is no secret, unless by its signs it is the end of a token or an address. */
function withoutCutStart(tail: string): string {
  const space = tail.search(/\s/);
  const end = space < 0 ? tail.length : space;
  const mayBeSecret = /[.@]/.test(tail.slice(MARGIN, end));
  return tail.slice(Math.max(LONGEST_PIECE, mayBeSecret ? end : Math.min(end, MARGIN)));
}

function startOfLastRun(text: string): number {
  let at = text.length;
  while (at > 0 && !/\s/.test(text[at - 1]!)) at--;
  return at;
}
