import type { Job } from '@commons/backend/lib/job-files/registry.js';
import type { JobRegistry } from '@commons/backend/lib/job-files/registry.js';
import { restartRun } from '@commons/backend/runs/restart-run.js';
import { runJob } from '@commons/backend/runs/run-job.js';
import { currentRun } from '@commons/backend/lib/run-scope.js';
import { BatchJobRun } from '@commons/backend/models/batch-job-run.js';

/** Fails, and keeps in whose name its row says that it ran. */
const asked: (string | null)[] = [];
const job: Job = {
  slug: 'who-asked',
  file: 'who-asked.ts',
  load: () => ({
    RequestBody: undefined, config: {}, timeoutMs: undefined,
    async handler() {
      asked.push((await BatchJobRun.find(currentRun().id))!.requestedBy);
      throw new Error('as it was told');
    },
  }),
};
const registry: JobRegistry = { find: () => job, list: () => [job], faults: () => [] };

beforeEach(() => void asked.splice(0));

describe('in whose name a run goes on', () => {
  it('is that of the caller whose delivery starts it again, or nobody', async () => {
    const delivery = { key: 'who-asked/who-asked@2026-11-23T06:00:00Z', scheduledFor: new Date('2026-11-23T06:00:00Z'), schedulerJobName: 'who-asked' };
    for (const requestedBy of ['ada@example.org', 'eve@example.org', undefined]) await runJob(job, { trigger: 'scheduler', body: {}, delivery, requestedBy });
    expect(asked).toEqual(['ada@example.org', 'eve@example.org', null]);
    expect(await BatchJobRun.list({ jobName: 'who-asked', limit: 10 })).toHaveLength(1);
  });

  it('is that of the person who retries or resumes it, or nobody', async () => {
    const run = await runJob(job, { trigger: 'cli', body: {}, requestedBy: 'root' });
    await restartRun(registry, run.id, { mode: 'retry', requestedBy: 'ada@example.org' });
    await restartRun(registry, run.id, { mode: 'resume', requestedBy: undefined });
    expect(asked).toEqual(['root', 'ada@example.org', null]);
  });
});
