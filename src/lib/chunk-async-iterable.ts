/**
 * The items in arrays of `size`, the last one shorter, and none of them empty. It reads no further ahead than the array
 * that it is asked for, and closes `iterable` when it is left early.
 * @throws {RangeError} when size is no whole number of at least 1
 */
export function chunkAsyncIterable<T>(iterable: AsyncIterable<T> | Iterable<T>, size: number): AsyncGenerator<T[], void, undefined> {
  // Checked here, and not at the first item: a generator's body does not run before that.
  if (!Number.isInteger(size) || size < 1) throw new RangeError(`size is ${size}; it must be a whole number of at least 1`);
  return chunks(iterable, size);
}

async function* chunks<T>(iterable: AsyncIterable<T> | Iterable<T>, size: number): AsyncGenerator<T[], void, undefined> {
  let chunk: T[] = [];
  for await (const item of iterable) {
    chunk.push(item);
    if (chunk.length < size) continue;
    yield chunk;
    chunk = [];
  }
  if (chunk.length > 0) yield chunk;
}
