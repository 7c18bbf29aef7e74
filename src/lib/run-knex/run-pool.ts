import createKnex from 'knex';
import { refuseInRuns } from './refuse-in-runs.js';
import type { RunConnection } from './run-connection.js';
import type { RunDatabase } from './run-database.js';

const LISTENING = 'Its numbers (numUsed(), numFree(), numPendingAcquires()) can be read at any time.';

/** A pool of connections that runs share. A run can take no part of it down. */
export class RunPool extends createKnex.KnexPool<RunConnection> {
  readonly #isShared: boolean;

  /** @param isShared it outlives the run that uses it */
  constructor(settings: unknown, isShared: boolean) {
    super(settings as never);
    this.#isShared = isShared;
  }

  /** As acquire(), but one that `user` had before comes first, and then one whose session is as new: those need no reset. */
  acquireFor(user: RunDatabase) {
    // tarn takes the last of those that are free, and has no say in which one that is.
    const { free } = this as unknown as { free: { readonly resource: RunConnection }[] };
    let at = free.findLastIndex(({ resource }) => resource.isUsedBy(user));
    if (at < 0) at = free.findLastIndex(({ resource }) => !resource.needsResetFor(user));
    if (at >= 0) free.push(...free.splice(at, 1));
    return this.#untilAborted(this.acquire());
  }

  /** tarn may still hand a connection to a request that was aborted while it looked at that connection: it would be nobody's for ever. */
  #untilAborted(pending: ReturnType<RunPool['acquire']>): Pick<typeof pending, 'promise' | 'abort'> {
    let isAborted = false;
    const resolve = pending.resolve.bind(pending);
    pending.resolve = (connection) => (isAborted ? void this.release(connection) : resolve(connection));
    return {
      promise: pending.promise,
      abort() {
        isAborted = true;
        pending.abort();
      },
    };
  }

  override destroy() {
    if (this.#isShared) refuseInRuns("destroy the database pool (knex.destroy())", "Leave the call out: a run's connections are given back by themselves.");
    return super.destroy();
  }

  override on(event: never, listener: never): void {
    if (this.#isShared) refuseInRuns('listen on the database pool', LISTENING);
    super.on(event, listener);
  }

  override removeAllListeners(event?: unknown): void {
    if (this.#isShared) refuseInRuns('remove the listeners of the database pool', LISTENING);
    super.removeAllListeners(event as never);
  }
}
