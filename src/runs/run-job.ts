import type { Job } from '../lib/job-files/registry.js';
import type { JobCall } from './job-call.js';
import { prepareRun } from './prepare.js';
import { recordRun } from './record-run.js';
import type { RunResult } from './run-result.js';

/**
 * THE ONE DOOR: every trigger starts a run here. The job is loaded, its body is checked against its RequestBody, and it is
 * run, all on the record: a job that cannot be loaded and a body that does not fit are failed runs too, so that a
 * scheduled one is seen. A run is dry when the body says so as it came, or as its RequestBody reads it.
 * @throws {ServiceError} 503 when the run could not be recorded, {Forbidden} 403 when the job is not for this caller; then nothing was run
 */
export async function runJob(job: Job, call: JobCall): Promise<RunResult> {
  const { start, work } = await prepareRun(job, call);
  return recordRun(job.slug, work, start);
}
