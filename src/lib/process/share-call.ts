/**
 * Makes callers share one call: a caller that comes while it is under way, or within `keptMs` after its end, gets its result. An
 * error is shared in the same way.
 */
export function shareCall<T>(call: () => Promise<T>, keptMs: number): () => Promise<T> {
  let shared: Promise<T> | undefined;
  let endedAt: number | undefined;
  return () => {
    if (shared && (endedAt === undefined || performance.now() - endedAt < keptMs)) return shared;
    endedAt = undefined;
    const own = call();
    shared = own;
    const end = (): void => void (endedAt = performance.now());
    own.then(end, end);
    return own;
  };
}
