/** Takes the values of one run's body out of what the run leaves behind. */
export interface Scrubber {
  text(text: string): string;
  /** Of JSON text; what comes out is JSON too. */
  json(text: string): string;
}

/** Shorter values are in half of all words: taking them out would leave no log to read, and they name nobody. */
const LEAST_CHARACTERS = 3;
/** Of these, only those that stand alone, and not in a longer word or number. */
const SHORT = 6;
/** A longer value is looked for in pieces of this length. */
const MOST_CHARACTERS = 500;
const MOST_VALUES = 5_000;
const TAKEN = '[Personal]';

/**
 * Makes what takes `values` out, whatever the case of their letters. Undefined when there is nothing that could be found. A value
 * that the job has changed (cut, formatted, encoded) is not found: a log is for ids and counts.
 */
export function createScrubber(values: readonly string[]): Scrubber | undefined {
  const trimmed = values.map((value) => value.trim()).filter((value) => value.length >= LEAST_CHARACTERS);
  const wanted = [...new Set(trimmed.flatMap(pieces))].slice(0, MOST_VALUES);
  if (wanted.length === 0) return undefined;
  // The longest first: of two that begin alike the whole one is to go.
  wanted.sort((a, b) => b.length - a.length);
  const long = wanted.filter(({ length }) => length >= SHORT).map(escaped);
  const short = wanted.filter(({ length }) => length < SHORT).map(escaped);
  const alone = short.length > 0 ? [`(?<![\\p{L}\\p{N}])(?:${short.join('|')})(?![\\p{L}\\p{N}])`] : [];
  const pattern = new RegExp([...long, ...alone].join('|'), 'giu');
  const text = (plain: string): string => plain.replace(pattern, TAKEN);
  return { text, json: (json) => JSON.stringify(scrubValue(JSON.parse(json) as unknown, text)) };
}

/** By whole characters: a cut through a surrogate pair would leave halves that are found nowhere. */
function pieces(value: string): string[] {
  const characters = Array.from(value);
  return Array.from({ length: Math.ceil(characters.length / MOST_CHARACTERS) }, (_, at) => characters.slice(at * MOST_CHARACTERS, (at + 1) * MOST_CHARACTERS).join(''));
}

const escaped = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&');

function scrubValue(value: unknown, text: (plain: string) => string): unknown {
  if (typeof value === 'string') return text(value);
  if (typeof value === 'number') return text(String(value)) === String(value) ? value : TAKEN;
  if (Array.isArray(value)) return value.map((item) => scrubValue(item, text));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [text(name), scrubValue(member, text)]));
}
