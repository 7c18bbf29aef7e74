import { setTimeout as delay } from 'node:timers/promises';
import { joinServer, type Place } from './join-server.js';
import { isRunning, readPostmaster, removeStaleLock } from './postmaster.js';
import { type Cluster, startServer } from './start-server.js';

/** ms that a server may keep us waiting while it does not answer, nor start, nor stop. */
const PATIENCE = 30_000;

/** ms between two looks at another process's server that starts or stops. */
const PAUSE = 20;

/**
 * A place at the cluster's server, which is started unless it runs.
 * @throws {Error} with the server's own words when it does not start, or does not answer
 */
export async function findPlace(cluster: Cluster): Promise<Place> {
  let giveUpAt = performance.now() + PATIENCE;
  for (;;) {
    const place = await joinServer(cluster);
    if (typeof place !== 'string') return place;
    if (performance.now() > giveUpAt) throw new Error(`The embedded Postgres in ${cluster.folder} cannot be used: ${place}.`);

    const postmaster = await readPostmaster(cluster.folder);
    if (postmaster && (await isRunning(cluster.folder, postmaster))) {
      // A server that starts after a crash may have much to recover.
      if (postmaster.status !== 'ready') giveUpAt = performance.now() + PATIENCE;
    } else {
      if (postmaster) await removeStaleLock(cluster.folder, postmaster);
      const started = await startServer(cluster);
      if (started) return started;
    }
    await delay(PAUSE);
  }
}
