import { setTimeout as delay } from 'node:timers/promises';
import { type CancelTarget, sendCancelRequest } from './cancel-request.js';
import type { RunStopped } from './errors.js';
import type { DriverConnection, DriverQuery } from './pg-internals.js';

/** After this the socket is cut: the server may be out of reach, or a COPY may wait for a client that is gone. */
const MOST_STOP_MS = 5_000;

/** The connection that is stopped. */
interface Stoppable extends CancelTarget {
  readonly connection: DriverConnection;
  readonly _queryQueue: DriverQuery[];
  readonly isBusy: boolean;
  readonly isGone: boolean;
  getTransactionStatus(): string | null;
}

/**
 * Ends what the connection does on the server, refuses what waits behind it with `refusal`, and rolls back. A request to cancel can
 * come before the server has begun; so it is repeated until the server is done. Never rejects.
 */
export async function stopConnection(stopped: Stoppable, refusal: RunStopped, rollBack: () => Promise<unknown>): Promise<void> {
  const givingUp = new AbortController();
  givingUp.signal.addEventListener('abort', () => stopped.connection.stream.destroy());
  const timer = setTimeout(() => givingUp.abort(), MOST_STOP_MS);
  try {
    for (const query of stopped._queryQueue.splice(0)) query.handleError(refusal, stopped.connection);
    while (stopped.isBusy) {
      await sendCancelRequest(stopped, givingUp.signal);
      if (stopped.isBusy) await delay(20);
      // A COPY FROM that waits for its client's data sees no request; anything else ignores this.
      if (stopped.isBusy) stopped.connection.sendCopyFail('the run was stopped');
    }
    if (stopped.getTransactionStatus() !== 'I' && !stopped.isGone) await rollBack();
  } catch {
    // The connection broke, and with it the transaction.
  } finally {
    clearTimeout(timer);
  }
}
