import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';

/** What the jobs themselves wrote down, by key: whether the run also ended. */
export async function readTrace(file: string): Promise<Map<string, { ended: boolean }>> {
  const runs = new Map<string, { ended: boolean }>();
  for await (const line of createInterface({ input: createReadStream(file) })) {
    const [what, key = ''] = line.split(' ');
    runs.set(key, { ended: what === 'ended' });
  }
  return runs;
}
