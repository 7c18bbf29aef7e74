/** One line of the table. */
export interface Figure {
  readonly what: string;
  readonly measured: string;
  readonly bound: string;
  readonly holds: boolean;
}

/** What one measurement found out. */
export interface Verdict {
  readonly figures: readonly Figure[];
  /** Of what was wrong, the first few; each says enough to be looked into. */
  readonly examples: readonly string[];
}

const MOST_EXAMPLES = 10;
const MOST_CHARACTERS = 400;

/** What must not happen, counted, with the first few of it. */
export class Faults {
  count = 0;
  readonly examples: string[] = [];

  add(example: string): void {
    if (this.count++ < MOST_EXAMPLES) this.examples.push(example.slice(0, MOST_CHARACTERS));
  }
}

/** A figure that must be nought. */
export const none = (what: string, count: number): Figure => ({ what, measured: String(count), bound: '0', holds: count === 0 });

/** A figure that must be below a bound, in a unit. */
export const under = (what: string, measured: number, bound: number, unit: string): Figure => ({
  what, measured: `${measured} ${unit}`, bound: `under ${bound} ${unit}`, holds: measured < bound,
});

/** The most of a count by status: `401: 9,700, 403: 300`. */
export const tally = (counts: ReadonlyMap<number | string, number>): string =>
  [...counts].toSorted(([a], [b]) => String(a).localeCompare(String(b))).map(([status, count]) => `${status}: ${count.toLocaleString('en')}`).join(', ');

export const countUp = <Key>(counts: Map<Key, number>, key: Key): void => void counts.set(key, (counts.get(key) ?? 0) + 1);
