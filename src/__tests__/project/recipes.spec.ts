import { raisePriority } from '@commons/backend/__tests__/fixtures/recipes/attribution-user.js';
import { fetchAll } from '@commons/backend/__tests__/fixtures/recipes/bounded-parallelism.js';
import { refuseInProduction } from '@commons/backend/__tests__/fixtures/recipes/environment-guard.js';
import { logComparison } from '@commons/backend/__tests__/fixtures/recipes/scoped-logger.js';
import { loadSignals } from '@commons/backend/__tests__/fixtures/recipes/sub-runs.js';
import { cancelWorkflow } from '@commons/backend/__tests__/fixtures/recipes/transaction.js';
import { upsertSignals } from '@commons/backend/__tests__/fixtures/recipes/upsert.js';
import { taskFactory } from '@commons/backend/__tests__/helpers/factories/task-factory.js';
import { workflowFactory } from '@commons/backend/__tests__/helpers/factories/workflow-factory.js';
import { TestRun } from '@commons/backend/__tests__/helpers/test-scope.js';
import { StatusError } from '@commons/backend/jobs/helpers.js';
import knex from '@commons/backend/lib/knex.js';
import { BatchJobRun } from '@commons/backend/models/batch-job-run.js';

describe('the recipes of src/jobs/TEMPLATES.md', () => {
  it('record parts of a job as runs, those that fail too', async () => {
    await expect(loadSignals(['a1c', 'bmi'], async (signal) => (signal === 'a1c' ? 3 : Promise.reject(new Error('no such signal'))))).rejects.toThrow('no such signal');
    const runs = await BatchJobRun.list({ limit: 10 });
    expect(runs.map(({ jobName, status }) => [jobName, status])).toEqual([['cache-member-signals-bmi', 'failed'], ['cache-member-signals-a1c', 'succeeded']]);
  });

  it('keep a job out of production', () => {
    expect(() => refuseInProduction('production')).toThrow(StatusError);
    expect(() => refuseInProduction('staging')).not.toThrow();
  });

  it('log with a tag and fields that were said once', async () => {
    const run = new TestRun();
    await run.do(() => logComparison('boston', ['M-1']));
    expect(run.lines.map(({ level, tag, message }) => [level, tag, message])).toEqual([
      ['info', 'sync-clinician-mappings', 'Compared'], ['warn', 'sync-clinician-mappings', 'Both sides have changed'],
    ]);
    for (const { data } of run.lines) expect(data).toContain('"market":"boston"');
  });

  it('say who changed a row', async () => {
    const { id } = await workflowFactory.create();
    await raisePriority(id, { isDryRun: true });
    expect(await knex('workflow').where({ id }).first()).toMatchObject({ priority: 'normal', updatedBy: null });
    await raisePriority(id);
    expect(await knex('workflow').where({ id }).first()).toMatchObject({ priority: 'high', updatedBy: expect.any(String) });
  });

  it('end a workflow and its tasks together, once', async () => {
    const { id } = await workflowFactory.create();
    const task = await taskFactory.create({ workflowId: id });
    await expect(cancelWorkflow(id, 'moved away')).resolves.toBe(true);
    expect(await knex('task').where({ id: task.id }).first()).toMatchObject({ status: 'cancelled' });
    await expect(cancelWorkflow(id, 'again')).resolves.toBe(false);
    expect(await knex('workflow').where({ id }).first()).toMatchObject({ cancelReason: 'moved away' });
  });

  it('take over what is newer, and write nothing twice', async () => {
    const seen = (value: number, day: string) => [{ memberId: 'M-1', signal: 'a1c', value, observedAt: new Date(day) }];
    await upsertSignals(seen(1, '2026-01-02'));
    const before = await knex('member_signal');
    await upsertSignals(seen(1, '2026-01-02'));
    await upsertSignals(seen(9, '2026-01-01'));
    expect(await knex('member_signal')).toEqual(before);
    await upsertSignals(seen(2, '2026-01-03'));
    expect(await knex('member_signal').pluck('value')).toEqual([2]);
  });

  it('do five things at a time, and give the results in order', async () => {
    let [active, most] = [0, 0];
    const ids = Array.from({ length: 12 }, (_, n) => String(n));
    const results = await fetchAll(ids, async (id) => {
      most = Math.max(most, ++active);
      await new Promise((resolve) => setImmediate(resolve));
      active--;
      return `r${id}`;
    });
    expect(results).toEqual(ids.map((id) => `r${id}`));
    expect(most).toBe(5);
  });
});
