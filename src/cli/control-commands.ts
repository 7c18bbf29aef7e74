import { setTimeout as delay } from 'node:timers/promises';
import { restartRun } from '../runs/restart-run.js';
import { isRunId } from '../runs/records/run-id.js';
import type { SourceTree } from '../lib/job-files/source-tree.js';
import { recordAuditEvent } from '../runs/records/audit-event.js';
import { BatchJobRun } from '../models/batch-job-run.js';
import { cliOrigin } from './cli-origin.js';
import { CliError } from './cli-error.js';
import { withDatabase } from './open-database.js';
import { openJobs } from './open-jobs.js';
import { readRunBody } from './read-body-argument.js';
import { reportRun } from './report-run.js';
import { note } from './result-stream.js';
import { userName } from './user-name.js';

/** ms that a cancelled run is waited for. */
const LONGEST_WAIT = 15_000;

/** Cancels a run, whichever process runs it, and waits for its end. */
export async function cancelCommand(source: SourceTree, id: string): Promise<void> {
  checkId(id);
  await withDatabase(source, async () => {
    let run = await BatchJobRun.find(id);
    if (!run) throw new CliError(`there is no run ${id}; old ones are pruned. See: runs`);
    await recordAuditEvent({ ...cliOrigin(), action: 'cancel', outcome: 'allowed', runId: id, jobName: run.jobName });
    const isAsked = await BatchJobRun.cancel(id, userName());
    run = await BatchJobRun.find(id);
    if (!isAsked) throw new CliError(`the run has ended: it is ${run?.status}`);
    for (const until = performance.now() + LONGEST_WAIT; run?.status === 'running' && performance.now() < until; ) {
      await delay(100);
      run = await BatchJobRun.find(id);
    }
    note(run?.status === 'running' ? `run ${id} was asked to stop, and has not yet` : `${run?.status} · run ${id}`);
    process.exitCode = run?.status === 'cancelled' ? 0 : 1;
  });
}

export interface RestartOptions {
  readonly onlyFailed?: boolean | undefined;
  /** For a run whose own body was not kept whole: as `run --body` takes it. */
  readonly bodyText?: string | undefined;
}

/** Starts a run again that ended badly: from its cursor (resume), or anew (retry), here and with its own body. */
export async function restartCommand(source: SourceTree, id: string, mode: 'resume' | 'retry', { onlyFailed = false, bodyText }: RestartOptions = {}): Promise<void> {
  checkId(id);
  const body = bodyText === undefined ? undefined : await readRunBody({ body: bodyText, fields: {} });
  const jobs = openJobs(source);
  await withDatabase(source, () => reportRun(() => restartRun(jobs, id, { mode, onlyFailed, requestedBy: userName(), origin: cliOrigin(), body })));
}

function checkId(id: string): void {
  if (!isRunId(id)) throw new CliError(`${JSON.stringify(id)} is no run's id. See: runs`);
}
