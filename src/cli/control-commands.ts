import { hasEndedWithin } from '../runs/until-ended.js';
import { restartRun } from '../runs/restart-run.js';
import { isRunId } from '../runs/records/run-id.js';
import type { SourceTree } from '../lib/job-files/source-tree.js';
import { recordAuditEvent } from '../runs/records/audit-event.js';
import { BatchJobRun } from '../models/batch-job-run.js';
import { terminalUser } from './terminal-user.js';
import { CliError } from './cli-error.js';
import { withDatabase } from './open-database.js';
import { openJobs } from './open-jobs.js';
import { readRunBody } from './read-body-argument.js';
import { reportRun } from './report-run.js';
import { note } from './result-stream.js';

/** ms that a cancelled run is waited for. */
const LONGEST_WAIT = 15_000;

/** Cancels a run, whichever process runs it, and waits for its end. */
export async function cancelCommand(source: SourceTree, id: string): Promise<void> {
  checkId(id);
  await withDatabase(source, async () => {
    const found = await BatchJobRun.find(id);
    if (!found) throw new CliError(`there is no run ${id}; old ones are pruned. See: runs`);
    const by = terminalUser();
    await recordAuditEvent({ ...by, action: 'cancel', outcome: 'allowed', runId: id, jobName: found.jobName });
    const isAsked = await BatchJobRun.cancel(id, by.name);
    const hasEnded = !isAsked || (await hasEndedWithin(id, LONGEST_WAIT));
    const status = (await BatchJobRun.find(id))?.status;
    if (!isAsked) throw new CliError(`the run has ended: it is ${status}`);
    note(hasEnded ? `${status} · run ${id}` : `run ${id} was asked to stop, and has not yet`);
    process.exitCode = status === 'cancelled' ? 0 : 1;
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
  await withDatabase(source, () => reportRun(() => restartRun(jobs, id, { mode, onlyFailed, by: terminalUser(), body })));
}

function checkId(id: string): void {
  if (!isRunId(id)) throw new CliError(`${JSON.stringify(id)} is no run's id. See: runs`);
}
