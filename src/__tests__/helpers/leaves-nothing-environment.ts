import { setTimeout as delay } from 'node:timers/promises';
import { TestEnvironment } from 'jest-environment-node';

/** ms that a connection may take to close once its server is gone. */
const PATIENCE = 10_000;

/** Node, and a spec file fails that leaves what keeps a process alive: a connection, a server, a timer, a process. Jest would have to kill its worker. */
export default class LeavesNothingEnvironment extends TestEnvironment {
  #before = new Map<string, number>();

  override async setup(): Promise<void> {
    await super.setup();
    this.#before = activeResources();
  }

  override async teardown(): Promise<void> {
    await super.teardown();
    const until = performance.now() + PATIENCE;
    let left = this.#left();
    for (; left.length > 0 && performance.now() < until; left = this.#left()) await delay(50, undefined, { ref: false });
    if (left.length > 0) throw new Error(`This spec file leaves what keeps a process alive (${left.join(', ')}): close it in afterAll, and read every answer of fetch() to its end`);
  }

  #left = (): string[] => [...activeResources()].filter(([kind, count]) => count > (this.#before.get(kind) ?? 0)).map(([kind]) => kind);
}

/** How many there are of each kind (https://nodejs.org/api/process.html#processgetactiveresourcesinfo). */
function activeResources(): Map<string, number> {
  const counts = new Map<string, number>();
  for (const kind of process.getActiveResourcesInfo()) counts.set(kind, (counts.get(kind) ?? 0) + 1);
  return counts;
}
