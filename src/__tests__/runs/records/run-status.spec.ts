import knex from '@commons/backend/lib/knex.js';
import { isRunStatus, mayMove, redeliverable, restartable, RUN_STATUSES, TRANSITIONS } from '@commons/backend/runs/records/run-status.js';

describe('the states of a run', () => {
  it('gives a reason for every arrow, and draws no arrow twice', () => {
    expect(TRANSITIONS.filter(({ when }) => when.length < 5)).toEqual([]);
    expect(new Set(TRANSITIONS.map(({ from, to }) => `${from} ${to}`)).size).toBe(TRANSITIONS.length);
  });

  it('lets nothing leave succeeded or skipped', () => {
    for (const from of ['succeeded', 'skipped'] as const) {
      expect(RUN_STATUSES.filter((to) => mayMove(from, to))).toEqual([]);
    }
  });

  it.each([
    ['(new)', 'succeeded'],
    ['queued', 'succeeded'],
    ['queued', 'lost'],
    ['running', 'queued'],
    ['running', 'skipped'],
    ['lost', 'succeeded'],
    ['timed_out', 'succeeded'],
    ['failed', 'succeeded'],
    ['succeeded', 'running'],
    ['cancelled', 'queued'],
  ] as const)('refuses %s -> %s', (from, to) => {
    expect(mayMove(from, to)).toBe(false);
  });

  it('has a person start again what ended badly, and a scheduler only what did so by itself', () => {
    expect([...restartable].toSorted()).toEqual(['cancelled', 'failed', 'interrupted', 'lost', 'timed_out']);
    expect([...redeliverable].toSorted()).toEqual(['failed', 'interrupted', 'lost', 'timed_out']);
  });

  it('is the list that the table accepts', async () => {
    const { rows } = await knex.raw<{ rows: { definition: string }[] }>(
      `select pg_get_constraintdef(oid) as definition from pg_constraint where conrelid = 'batch_job_run'::regclass and contype = 'c' and conname like '%status%'`,
    );
    const accepted = [...rows[0]!.definition.matchAll(/'(\w+)'::text/g)].map(([, status]) => status!);
    expect(accepted.toSorted()).toEqual([...RUN_STATUSES].toSorted());
    expect(accepted.every(isRunStatus)).toBe(true);
  });
});
