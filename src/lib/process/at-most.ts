/** Does work of which no more than `count` pieces go on at once. The others wait, in the order they came. */
export function atMost(count: number): <T>(work: () => Promise<T>) => Promise<T> {
  let going = 0;
  const waiting: (() => void)[] = [];
  return async (work) => {
    if (going < count) going++;
    // Whoever ends hands on its place, so that nobody comes in between.
    else await new Promise<void>((enter) => waiting.push(enter));
    try {
      return await work();
    } finally {
      const next = waiting.shift();
      if (next) next();
      else going--;
    }
  };
}
