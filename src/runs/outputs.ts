import logger from '../lib/logging.js';
import { RunFailureBuffer } from './failure-buffer.js';
import { createRunLogBuffer, type LogRoom, type RunLogBuffer } from './log-buffer.js';
import { type CurrentRun, runOutsideScope } from '../lib/run-scope.js';
import { insertLines } from './records/log-lines.js';
import { countFailures, insertFailures } from './records/failures.js';

const TAG = 'run-outputs';

/** 32 MB of lines that are not written yet, of all runs of this process. */
const ROOM: LogRoom = { bytesLeft: 33_554_432 };

type Attempt = Pick<CurrentRun, 'id' | 'attempt'>;

/** Where the lines of a run's log go. Made at its first line. */
export const openLog = ({ id, attempt }: Attempt): RunLogBuffer =>
  createRunLogBuffer({
    write: (lines) => insertLines(id, attempt, lines),
    room: ROOM,
    onError: sayOnce,
    // Later: it is heard of while a line is logged, and a line that is logged meanwhile is dropped.
    onLoss: (error) => setImmediate(() => runOutsideScope(() => logger.error(error, { tag: TAG, during: 'keeping the log of a run', runId: id }))),
  });

/** Where the items go that a run could not process. Made at the first one. */
export const openFailures = ({ id, attempt }: Attempt): RunFailureBuffer =>
  new RunFailureBuffer({
    write: (failures, trx) => insertFailures(id, attempt, failures, trx),
    count: () => countFailures(id, attempt),
    onError: (error) => logger.error(error, { tag: TAG, during: 'keeping failed items of a run', runId: id }),
  });

const SILENCE_MS = 60_000;
let saidAt = -Infinity;

/** A table that cannot be written fails the lines of every run, which is said once a minute. They are tried again. */
function sayOnce(error: unknown): void {
  const now = performance.now();
  if (now - saidAt < SILENCE_MS) return;
  saidAt = now;
  // It is no line of the run whose lines were written.
  runOutsideScope(() => logger.error(error, { tag: TAG, during: 'keeping the logs of runs', note: 'their lines wait, and are tried again' }));
}
