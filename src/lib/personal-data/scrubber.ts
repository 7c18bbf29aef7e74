import { orUndefined } from '../errors/or-undefined.js';
import { ValueFinder } from './find-values.js';

/** Takes personal values out of a text. */
export type Scrub = (text: string) => string;

/** Takes the values of one run's body out of what the run leaves behind. */
export interface Scrubber {
  /** Works on any text. The middle of a text over half a million characters is left out. Call it before a text is cut: half of a value is not found. */
  readonly text: Scrub;
  /** Works on JSON text: on its texts, numbers and names. The result is JSON too. */
  readonly json: Scrub;
}

/** Shorter values are not taken out: they are part of half of all words, and they name nobody. */
const LEAST_CHARACTERS = 3;
/** Values up to this length are taken out only where they stand alone, and not inside a longer word or number. */
const SHORT = 6;
/** A longer value is looked for in pieces of this length. */
const MOST_CHARACTERS = 500;
/** So many characters are looked through at each end of a long text. */
const WINDOW = 262_144;
const TAKEN = '[Personal]';

/**
 * Makes what takes `values` out, whatever the case of their letters: as they are, as JSON, an address or SQL would quote them, and
 * line by line. Undefined when there is nothing that could be found. A value that the job has changed otherwise (cut, formatted,
 * encoded) is not found: a log is for ids and counts.
 */
export function createScrubber(values: readonly string[]): Scrubber | undefined {
  let wanted: ReadonlySet<string> | undefined = new Set(values.flatMap(forms).flatMap(pieces).filter(({ length }) => length >= LEAST_CHARACTERS).map(fold));
  if (wanted.size === 0) return undefined;
  let finder: ValueFinder | undefined;
  // Made at the first text, since many runs leave no text behind.
  const replace: Scrub = (text) => {
    finder ??= new ValueFinder(wanted!, SHORT);
    wanted = undefined;
    return without(text, finder);
  };
  const text: Scrub = (plain) => (plain.length <= 2 * WINDOW ? replace(plain) : withoutMiddle(plain, replace));
  return { text, json: (json) => JSON.stringify(scrubValue(JSON.parse(json) as unknown, text)) };
}

function without(text: string, finder: ValueFinder): string {
  if (text.length < LEAST_CHARACTERS) return text;
  let kept = '';
  let at = 0;
  for (const { from, to } of finder.placesIn(fold(text))) {
    kept += text.slice(at, from) + TAKEN;
    at = to;
  }
  return at === 0 ? text : kept + text.slice(at);
}

/** What both take out: a run inside another one leaves nothing behind of either's body. */
export function combineScrubbers(outer: Scrubber | undefined, own: Scrubber | undefined): Scrubber | undefined {
  if (!outer || !own) return outer ?? own;
  return { text: (text) => own.text(outer.text(text)), json: (json) => own.json(outer.json(json)) };
}

/** A value as it may be met in a text. */
function forms(value: string): string[] {
  const whole = value.trim();
  const address = orUndefined(() => encodeURIComponent(whole)); // Throws on half a surrogate pair.
  return [
    whole,
    ...whole.split(/\r?\n/).map((line) => line.trim()).filter((line) => line.length >= SHORT),
    JSON.stringify(whole).slice(1, -1),
    whole.replaceAll("'", "''"),
    ...(address === undefined ? [] : [address]),
    // As a form or a query string writes it: application/x-www-form-urlencoded.
    new URLSearchParams([['', whole]]).toString().slice(1),
  ];
}

/** Cuts between whole characters: a cut through a surrogate pair would leave halves that are found nowhere. */
function pieces(value: string): string[] {
  if (value.length <= MOST_CHARACTERS) return [value];
  const found: string[] = [];
  for (let at = 0; at < value.length; ) {
    const end = at + MOST_CHARACTERS;
    const isPairCut = /^[\uD800-\uDBFF][\uDC00-\uDFFF]/.test(value.slice(end - 1, end + 1));
    found.push(value.slice(at, (at = isPairCut ? end - 1 : end)));
  }
  return found;
}

/** The text in lower case. Each character keeps its length, so that a position is the same in both texts. */
function fold(text: string): string {
  const lower = text.toLowerCase();
  const aligned = lower.length === text.length ? lower : Array.from(text, (character) => sameLength(character.toLowerCase(), character)).join('');
  // The Greek sigma is written differently at the end of a word.
  return aligned.replaceAll('ς', 'σ');
}

const sameLength = (lower: string, character: string): string => (lower.length === character.length ? lower : character);

/** Half a piece may be left at each cut, and is not found. So that much is left out there too. */
const withoutMiddle = (text: string, replace: Scrub): string =>
  `${replace(text.slice(0, WINDOW)).slice(0, -2 * MOST_CHARACTERS)} […] ${replace(text.slice(-WINDOW)).slice(2 * MOST_CHARACTERS)}`;

function scrubValue(value: unknown, text: Scrub): unknown {
  if (typeof value === 'string') return text(value);
  if (typeof value === 'number') return text(String(value)) === String(value) ? value : TAKEN;
  if (Array.isArray(value)) return value.map((item) => scrubValue(item, text));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [text(name), scrubValue(member, text)]));
}
