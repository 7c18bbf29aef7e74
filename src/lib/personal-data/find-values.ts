/** Where something was found in a text: from its first character to behind its last one. */
export interface Place {
  readonly from: number;
  readonly to: number;
}

/** One number for each node: the length of the longest value that ends here (bits 0 to 11), and these flags. */
const LENGTH = 0xfff;
/** A value of this many characters ends here, and counts only where it stands alone. One bit for each such length, from bit 12 on. */
const ALONE = (length: number): number => 1 << (12 + length);
/** The node that was made after this one is not its child. */
const IS_LAST = 1 << 30;
const BRANCHES = 1 << 29;
const MOST_ALONE = 12;
/** A fallback is stored as its node's number plus one, so that zero means: not known yet. */
const UNKNOWN = 0;
const ROOT = 1;
const ALONE_BITS = ~(LENGTH | IS_LAST | BRANCHES);

/**
 * Finds any of a great many values in one pass over a text, in a time that grows with the text alone: Aho and Corasick's automaton
 * (Communications of the ACM 18/6, 1975). Its nodes are numbers, and nearly every node has one child, which is the next number:
 * so a node takes ten bytes, and all the branches there are take one map. Fallbacks are found when a text first needs them: most
 * texts hold no value, and come to few nodes.
 */
export class ValueFinder {
  /** The character that leads to a node from its parent. */
  #labels: Uint16Array;
  #marks: Int32Array;
  /** For each node, the node of the longest beginning of a value that ends in the same characters; UNKNOWN until a text has come to the node. */
  readonly #fallbacks: Int32Array;
  readonly #branches = new Map<number, number>();
  readonly #least: number;
  #size = 1;

  /**
   * @param values folded as the texts are, of 4,095 characters at most
   * @param longerThanAlone values of fewer characters (12 at most) count only where they stand alone
   */
  constructor(values: ReadonlySet<string>, longerThanAlone: number) {
    let most = 1;
    for (const { length } of values) most += length;
    this.#least = Math.min(longerThanAlone, MOST_ALONE);
    this.#labels = new Uint16Array(most);
    this.#marks = new Int32Array(most);
    this.#marks[0] = IS_LAST;
    for (const value of values) this.#add(value);
    // Values that begin alike share nodes.
    if (this.#size < most) {
      this.#labels = this.#labels.slice(0, this.#size);
      this.#marks = this.#marks.slice(0, this.#size);
    }
    this.#fallbacks = new Int32Array(this.#size);
    this.#fallbacks[0] = ROOT;
  }

  /** Every place that a value is at, from left to right; those that overlap are one. */
  placesIn(text: string): readonly Place[] {
    const places: { from: number; to: number }[] = [];
    let node = 0;
    for (let at = 0; at < text.length; at++) {
      node = this.#after(node, text.charCodeAt(at));
      const mark = this.#marks[node]!;
      const length = (mark & LENGTH) || this.#aloneAt(text, at + 1, mark);
      if (length === 0) continue;
      let from = at + 1 - length;
      for (let last = places.at(-1); last && last.to > from; last = places.at(-1)) {
        from = Math.min(from, last.from);
        places.pop();
      }
      places.push({ from, to: at + 1 });
    }
    return places;
  }

  /** The length of the longest short value that ends at `to` and stands alone; 0 where there is none. */
  #aloneAt(text: string, to: number, mark: number): number {
    if ((mark & ALONE_BITS) === 0) return 0;
    for (let length = this.#least - 1; length > 0; length--) if (mark & ALONE(length) && isAlone(text, to - length, to)) return length;
    return 0;
  }

  #add(value: string): void {
    let node = 0;
    let at = 0;
    for (let child; at < value.length && (child = this.#child(node, value.charCodeAt(at))) !== 0; at++) node = child;
    for (; at < value.length; at++) node = this.#grow(node, value.charCodeAt(at));
    if (value.length >= this.#least) this.#marks[node] = (this.#marks[node]! & ~LENGTH) | value.length;
    else this.#marks[node]! |= ALONE(value.length);
  }

  #grow(parent: number, unit: number): number {
    const node = this.#size++;
    this.#labels[node] = unit;
    this.#marks[node] = IS_LAST;
    if (parent === node - 1) this.#marks[parent]! &= ~IS_LAST;
    else {
      this.#marks[parent]! |= BRANCHES;
      this.#branches.set(parent * 65_536 + unit, node);
    }
    return node;
  }

  /** 0 where there is no child: the root is never a child. */
  #child(node: number, unit: number): number {
    const mark = this.#marks[node]!;
    if ((mark & IS_LAST) === 0 && this.#labels[node + 1] === unit) return node + 1;
    return mark & BRANCHES ? (this.#branches.get(node * 65_536 + unit) ?? 0) : 0;
  }

  /** The node that a further character leads to. There are never more steps back than there were steps forward. */
  #after(node: number, unit: number): number {
    for (let at = node; ; at = this.#fallbacks[at]! - 1) {
      const child = this.#child(at, unit);
      if (child !== 0 && this.#fallbacks[child] === UNKNOWN) this.#link(at, child, unit);
      if (child !== 0 || at === 0) return child;
    }
  }

  /** Finds the fallback of a node whose parent's is known. It goes down as many levels as there are fallbacks of fallbacks: fewer than a value has characters. */
  #link(parent: number, node: number, unit: number): void {
    const fallback = parent === 0 ? 0 : this.#after(this.#fallbacks[parent]! - 1, unit);
    this.#fallbacks[node] = fallback + 1;
    const mark = this.#marks[node]!;
    const shorter = this.#marks[fallback]!;
    // What ends at its fallback ends here too, and is shorter.
    this.#marks[node] = mark | (shorter & ALONE_BITS) | (mark & LENGTH ? 0 : shorter & LENGTH);
  }
}

const isAlone = (text: string, from: number, to: number): boolean =>
  !/[\p{L}\p{N}]$/u.test(text.slice(Math.max(0, from - 2), from)) && !/^[\p{L}\p{N}]/u.test(text.slice(to, to + 2));
