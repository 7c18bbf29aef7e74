export interface PieceBounds<Item> {
  readonly mostItems: number;
  readonly mostBytes: number;
  readonly bytesOf: (item: Item) => number;
}

/** How many of the first items make one piece within the bounds. At least one, however big it is. */
export function pieceLength<Item>(items: readonly Item[], { mostItems, mostBytes, bytesOf }: PieceBounds<Item>): number {
  let bytes = 0;
  let count = 0;
  for (; count < items.length && count < mostItems; count++) {
    bytes += bytesOf(items[count]!);
    if (bytes > mostBytes && count > 0) break;
  }
  return count;
}

/** Cuts the items, in their order, into pieces within the bounds. */
export function* inPieces<Item>(items: readonly Item[], bounds: PieceBounds<Item>): Generator<readonly Item[]> {
  for (let from = 0; from < items.length; ) {
    const rest = items.slice(from, from + bounds.mostItems);
    const length = pieceLength(rest, bounds);
    yield rest.slice(0, length);
    from += length;
  }
}

/**
 * node-postgres writes an array as one text, and quotes each item in it synchronously: some 15 ms for 100 KB of text that is full
 * of quotes. A statement of arrays takes no more than this.
 */
export const MOST_ARRAY_BYTES = 131_072;
