/** Calls at a time where nobody says how many: few enough for a pool of connections, and for most services. */
const DEFAULT_CONCURRENCY = 10;

/**
 * What `fn` makes of each item, in the items' order, with at most `concurrency` calls going at a time. After the first one
 * that rejects no other is begun; the promise rejects with its error as soon as those that are going have settled, so that
 * nothing is left running behind the caller's back.
 * @param items read one at a time, as calls come free
 * @param concurrency default: 10
 * @throws {RangeError} when concurrency is no whole number of at least 1; {TypeError} for what are no items, or no function
 */
export async function asyncMap<T, U>(
  items: Iterable<T>,
  fn: (item: T, index: number) => U | PromiseLike<U>,
  concurrency: number = DEFAULT_CONCURRENCY,
): Promise<U[]> {
  if (typeof (items as Partial<Iterable<T>> | null | undefined)?.[Symbol.iterator] !== 'function' || typeof fn !== 'function') {
    throw new TypeError('asyncMap takes the items, then the function: asyncMap(items, async (item) => {...}, 10)');
  }
  if (!Number.isInteger(concurrency) || concurrency < 1) {
    throw new RangeError(`concurrency is ${JSON.stringify(concurrency)}; it must be a whole number of at least 1: asyncMap(items, async (item) => {...}, 10)`);
  }
  const results: U[] = [];
  const entries = enumerate(items);
  let fault: { readonly error: unknown } | undefined;

  async function work(): Promise<void> {
    // All workers draw from the one iterator, whose next() returns at once: no item is drawn twice.
    for (const [index, item] of entries) {
      try {
        results[index] = await fn(item, index);
      } catch (error) {
        fault ??= { error };
      }
      if (fault) return;
    }
  }

  await Promise.all(Array.from({ length: concurrency }, work));
  if (fault) throw fault.error;
  return results;
}

/** Ends for all workers as soon as one of them leaves its loop: a generator that was left is done. */
function* enumerate<T>(items: Iterable<T>): Generator<[number, T]> {
  let index = 0;
  for (const item of items) yield [index++, item];
}
