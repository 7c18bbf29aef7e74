/**
 * Has callers share one call: whoever comes while it is under way, or within `keptMs` after its end, gets what it gives. What
 * it throws is shared likewise.
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
