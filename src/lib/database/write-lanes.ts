import { WriteBatcher } from './write-batcher.js';

type Write<Item, Result> = (items: readonly Item[]) => Promise<readonly Result[]>;

/**
 * An item over this many bytes is large. The large ones have a lane of their own: they go with one parameter a value, a few at a
 * time, and the small ones, whose arrays cost nothing to speak of, do not wait for them.
 */
const LARGE_BYTES = 4_096;
const LARGE_LANE = { maxBatch: 16, maxBytes: 1_048_576 };

/** Two WriteBatchers, for small items and for large ones. */
export function writeLanes<Item, Result>(bytesOf: (item: Item) => number, { small, large }: { small: Write<Item, Result>; large: Write<Item, Result> }) {
  const [smallLane, largeLane] = [new WriteBatcher({ write: small, bytesOf }), new WriteBatcher({ write: large, bytesOf, ...LARGE_LANE })];
  return { add: (item: Item, patienceMs: number): Promise<Result> => (bytesOf(item) > LARGE_BYTES ? largeLane : smallLane).add(item, patienceMs) };
}
