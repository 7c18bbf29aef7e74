/** What `look` finds, or undefined where it throws. For looking at values of others: a getter, a Proxy or a callback may throw. */
export function orUndefined<T>(look: () => T): T | undefined {
  try {
    return look();
  } catch {
    return undefined;
  }
}
