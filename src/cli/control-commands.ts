import { envConfig } from '../lib/env-config.js';
import { hasEndedWithin } from '../runs/until-ended.js';
import { restartRun } from '../runs/restart-run.js';
import { isRunId } from '../runs/records/run-id.js';
import { how, whyNotCancelled } from '../runs/records/run-refusals.js';
import type { SourceTree } from '../lib/job-files/source-tree.js';
import { recordAuditEvent } from '../runs/records/audit-event.js';
import { BatchJobRun } from '../models/batch-job-run.js';
import { terminalUser } from './terminal-user.js';
import { CliError } from './cli-error.js';
import { openJobs } from './open-jobs.js';
import { readRunBody } from './read-body-argument.js';
import { reportRun } from './report-run.js';
import { note } from './result-stream.js';
import { markLostRuns, withLiveRuns } from './with-live-runs.js';

/** ms. A cancelled run is waited for as long as a lease lasts, and this: a job that ignores it is given up on within. */
const AFTER_LEASE = 8_000;
/** ms */
const LOOK_FOR_LOST = 1_000;

/** Cancels a run, whichever process runs it, and waits for its end. One whose process has died is lost once its lease has passed. */
export async function cancelCommand(source: SourceTree, id: string): Promise<void> {
  checkId(id);
  await withLiveRuns(source, async () => {
    const found = await BatchJobRun.find(id);
    if (!found) throw new CliError(`there is no run ${id}; old ones are pruned. See: runs`);
    const by = terminalUser();
    await recordAuditEvent({ ...by, action: 'cancel', outcome: 'allowed', runId: id, jobName: found.jobName });
    const isAsked = await BatchJobRun.cancel(id, by.name);
    if (!isAsked) throw new CliError(whyNotCancelled((await BatchJobRun.find(id)) ?? found));
    const hasEnded = await hasStopped(id);
    const status = (await BatchJobRun.find(id))?.status;
    if (status === 'lost') note(`its process had died, so there was nothing to stop. To start it again: ${how('resume', id)}`);
    note(hasEnded ? `${status} · run ${id}` : `run ${id} was asked to stop, and has not yet. Its state: ${how('show', id)}`);
    process.exitCode = status === 'cancelled' ? 0 : 1;
  });
}

/** Whether the run ends within its lease and a few seconds. Lost runs are marked meanwhile, since there may be no server that does it. */
async function hasStopped(id: string): Promise<boolean> {
  const until = performance.now() + envConfig().runLease + AFTER_LEASE;
  while (performance.now() < until) {
    if (await hasEndedWithin(id, LOOK_FOR_LOST)) return true;
    await markLostRuns();
  }
  return false;
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
  await withLiveRuns(source, () => reportRun(() => restartRun(jobs, id, { mode, onlyFailed, by: terminalUser(), body })));
}

function checkId(id: string): void {
  if (!isRunId(id)) throw new CliError(`${JSON.stringify(id)} is no run's id. See: runs`);
}
