import os from 'node:os';
import fc from 'fast-check';
import { uuidv7 } from 'uuidv7';
import { envConfig } from '@commons/backend/lib/env-config.js';
import knex from '@commons/backend/lib/knex.js';
import { type Claiming, claimNextAttempt, claimRow } from '@commons/backend/runs/records/claim-row.js';
import type { NewRun } from '@commons/backend/runs/records/new-run.js';
import { restartable } from '@commons/backend/runs/records/run-status.js';
import { skipRun } from '@commons/backend/runs/records/skip.js';
import { createBatchJobRun } from '../../helpers/factories/batch-job-run-factory.js';
import { auditOf, newDelivery, newRun, rowOf } from '../../helpers/new-run.js';

const NUM_RUNS = 20;
/** A body over 4,096 bytes goes by another statement. */
const text = fc.oneof({ weight: 5, arbitrary: fc.string({ maxLength: 20, unit: 'grapheme' }) }, { weight: 1, arbitrary: fc.integer({ min: 4_100, max: 9_000 }).map((length) => 'x'.repeat(length)) });
const storable = text.map((value) => value.replaceAll('\0', ''));
const maybe = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined });

/** What one run may have and another not: every choice of columns is a statement of its own. */
const anyRun: fc.Arbitrary<Claiming> = fc.record({
  trigger: fc.constantFrom('http', 'scheduler', 'cli', 'run' as const),
  isDryRun: fc.boolean(),
  body: maybe(storable.map((value) => JSON.stringify({ value, quoted: '{"a\\b",NULL}' }))),
  isBodyRedacted: fc.boolean(),
  sealed: maybe(fc.uint8Array({ minLength: 1, maxLength: 40 })),
  requestedBy: maybe(storable),
  hasParent: fc.boolean(),
  onlyKeys: maybe(fc.array(fc.oneof(fc.integer(), storable), { minLength: 1, maxLength: 3 }).map((keys) => JSON.stringify(keys))),
  audit: maybe(fc.record({ action: fc.constantFrom('run', 'retry'), name: maybe(fc.constant('ann@example.com')), isVerified: fc.boolean(), source: maybe(fc.constant('10.0.0.1')) })),
}).map(({ sealed, hasParent, ...run }) => newRun({ ...run, sealedBody: sealed && Buffer.from(sealed), parentRunId: hasParent ? uuidv7() : undefined }));

const parsed = (json: string | undefined): unknown => (json === undefined ? null : JSON.parse(json));

/** What the row of a run says once it was claimed: every column of the table. */
const runningRow = ({ delivery, ...run }: NewRun) => ({
  id: run.id, jobName: run.jobName, status: 'running', trigger: run.trigger, isDryRun: run.isDryRun, attempt: 1,
  body: parsed(run.body), isBodyRedacted: run.isBodyRedacted ?? false, sealedBody: run.sealedBody ?? null,
  requestedBy: run.requestedBy ?? null, parentRunId: run.parentRunId ?? null, onlyKeys: parsed(run.onlyKeys),
  deliveryKey: delivery?.key ?? null, scheduledFor: delivery?.scheduledFor ?? null, schedulerJobName: delivery?.schedulerJobName ?? null,
  overlapKey: run.isAlone ? run.jobName : null, claim: delivery || run.isAlone ? run.id : null,
  host: os.hostname().slice(0, 255), version: envConfig().version ?? null,
  startedAt: expect.any(Date), leaseUntil: expect.any(Date),
  queuedAt: null, finishedAt: null, httpStatus: null, result: null, error: null, progress: null, writes: null, cancelRequestedAt: null, cancelRequestedBy: null,
  failedItems: 0, asksForKeys: null,
});

/** The one entry that an act has, with the id of its claim; none for a run that nobody asked for. */
const entriesOf = ({ id, jobName, audit }: NewRun, runId = id) =>
  audit ? [{ id, runId, jobName, action: audit.action, outcome: 'allowed', caller: audit.name ?? null, isVerified: audit.isVerified, source: audit.source ?? null, at: expect.any(Date), status: null, reason: null }] : [];

const claimed = (id: string, attempt: number) => expect.objectContaining({ kind: 'claimed', id, attempt });

/** A column that a run had before, and that a claim of its next attempt is to replace or to leave. */
const earlierRun = (columns: object = {}) => createBatchJobRun({
  status: 'failed', trigger: 'scheduler', attempt: 4, body: { old: true }, requestedBy: 'old', parentRunId: uuidv7(), onlyKeys: JSON.stringify(['old']),
  sealedBody: Buffer.from('old'), isBodyRedacted: true, result: { old: true }, error: { old: true }, httpStatus: 500, progress: { old: true }, writes: { old: true },
  host: 'old', version: 'old', claim: uuidv7(), cancelRequestedAt: new Date(), cancelRequestedBy: 'old', overlapKey: uuidv7(),
  failedItems: 7, asksForKeys: true, ...columns,
});

const begunAnew = ({ id, claim: _claim, ...row }: Record<string, unknown>, claim: string) => ({
  ...row, id, claim, status: 'running', attempt: 5, startedAt: expect.any(Date), leaseUntil: expect.any(Date), host: os.hostname().slice(0, 255), version: envConfig().version ?? null,
  finishedAt: null, httpStatus: null, result: null, error: null, progress: null, writes: null, cancelRequestedAt: null, cancelRequestedBy: null,
  failedItems: 0, asksForKeys: null,
});

afterEach(() => knex('batch_job_run').delete());

describe('the row of a run that is claimed', () => {
  it('has every column of the run, of however many that are gathered in one statement, and is made once though the claim is repeated', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(anyRun, { minLength: 1, maxLength: 6 }), async (runs) => {
        for (let time = 0; time < 2; time++) {
          expect(await Promise.all(runs.map(claimRow))).toEqual(runs.map(({ id }) => claimed(id, 1)));
          for (const run of runs) expect({ row: await rowOf(run.id), audit: await auditOf(run.id) }).toEqual({ row: runningRow(run), audit: entriesOf(run) });
        }
      }),
      { numRuns: NUM_RUNS },
    );
  });

  it.each([
    ['delivered', () => ({ delivery: newDelivery() })],
    ['alone', () => ({ isAlone: true, jobName: `alone-${uuidv7()}` })],
    ['delivered and alone', () => ({ delivery: newDelivery(), isAlone: true, jobName: `alone-${uuidv7()}` })],
  ])('%s has every column too, and is made once though the claim is repeated', async (_kind, given) => {
    await fc.assert(
      fc.asyncProperty(anyRun, async (any) => {
        const run = { ...any, ...given() };
        for (let time = 0; time < 2; time++) {
          expect(await claimRow(run)).toEqual(claimed(run.id, 1));
          expect({ row: await rowOf(run.id), audit: await auditOf(run.id) }).toEqual({ row: runningRow(run), audit: entriesOf(run) });
        }
      }),
      { numRuns: NUM_RUNS },
    );
  });

  it('of an earlier delivery gets what came with this one, and keeps what is its own', async () => {
    await fc.assert(
      fc.asyncProperty(anyRun, fc.boolean(), async (any, isAlone) => {
        const delivery = newDelivery();
        const jobName = `job-${uuidv7()}`;
        const before = await earlierRun({ jobName, deliveryKey: delivery.key });
        const id = String(before.id);
        const run: Claiming = { ...any, jobName, delivery, isAlone, seal: (runId) => Buffer.from(`sealed for ${runId}`) };
        const { trigger: _trigger, scheduledFor: _due, schedulerJobName: _name, ...given } = runningRow({ ...run, sealedBody: Buffer.from(`sealed for ${id}`) });
        for (let time = 0; time < 2; time++) {
          expect(await claimRow(run)).toEqual(claimed(id, 5));
          expect(await rowOf(id)).toEqual({ ...begunAnew(before, run.id), ...given, id, attempt: 5 });
          expect(await auditOf(id)).toEqual(entriesOf(run, id));
        }
      }),
      { numRuns: NUM_RUNS },
    );
  });

  it('that a person starts again keeps its own body, and gets who asked, whether it is dry, and whether it is alone', async () => {
    await fc.assert(
      fc.asyncProperty(anyRun, fc.boolean(), fc.boolean(), async (any, isAlone, keepsPlace) => {
        const jobName = `job-${uuidv7()}`;
        const before = await earlierRun({ jobName });
        const id = String(before.id);
        await knex('batch_job_run_cursor').insert({ runId: id, attempt: 4, cursor: { at: 9 } });
        await knex('batch_job_run_failure').insert({ runId: id, attempt: 4, seq: 1, key: JSON.stringify('k'), message: 'm', fingerprint: 'f' });
        const run = { ...any, jobName, isAlone };
        for (let time = 0; time < 2; time++) {
          const claim = await claimNextAttempt({ ...run, taking: { id, attempt: 4, from: restartable, keepsPlace } });
          expect(claim).toEqual({ kind: 'claimed', id, attempt: 5, cursor: keepsPlace ? { at: 9 } : undefined, onlyKeys: ['old'], failedItems: keepsPlace ? 7 : 0 });
          expect(await rowOf(id)).toEqual({
            ...begunAnew(before, run.id), isDryRun: run.isDryRun, requestedBy: run.requestedBy ?? null, overlapKey: isAlone ? jobName : null,
            failedItems: keepsPlace ? 7 : 0,
          });
          expect(await auditOf(id)).toEqual(entriesOf(run, id));
          expect(await knex('batch_job_run_failure').where({ runId: id })).toHaveLength(keepsPlace ? 1 : 0);
        }
      }),
      { numRuns: NUM_RUNS },
    );
  });

  it('that a person starts again is not taken once another attempt of it began: what was read of it, its body say, is no longer so', async () => {
    const jobName = `job-${uuidv7()}`;
    const before = await earlierRun({ jobName });
    const id = String(before.id);
    const claim = { ...newRun(), jobName, taking: { id, attempt: 3, from: restartable, keepsPlace: false } };
    expect(await claimNextAttempt(claim)).toBeUndefined();
    expect(await rowOf(id)).toEqual(before);
    expect(await claimNextAttempt({ ...claim, taking: { ...claim.taking, attempt: 4 } })).toMatchObject({ id, attempt: 5 });
  });

  it('as skipped has every column too, but for its place and its sealed body', async () => {
    await fc.assert(
      fc.asyncProperty(anyRun, fc.boolean(), async (any, isDelivered) => {
        const jobName = `job-${uuidv7()}`;
        const active = await createBatchJobRun({ jobName, status: 'running', overlapKey: jobName });
        const run = { ...any, jobName, isAlone: true, delivery: isDelivered ? newDelivery() : undefined };
        const end = isDelivered
          ? { httpStatus: 200, result: { skipped: true, activeRunId: active.id } }
          : { httpStatus: 409, error: expect.objectContaining({ name: 'RunSkipped', data: { activeRunId: active.id } }) };
        for (let time = 0; time < 2; time++) {
          expect(await skipRun(run)).toMatchObject({ kind: 'skipped', id: run.id, activeRunId: active.id });
          expect(await rowOf(run.id)).toEqual({
            ...runningRow(run), ...end, status: 'skipped', finishedAt: expect.any(Date),
            startedAt: null, leaseUntil: null, host: null, version: null, claim: null, overlapKey: null, sealedBody: null,
          });
          expect(await auditOf(run.id)).toEqual(entriesOf(run));
        }
      }),
      { numRuns: NUM_RUNS },
    );
  });
});
