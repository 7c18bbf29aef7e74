import { uuidv7 } from 'uuidv7';
import knex from '@commons/backend/lib/knex.js';
import { recorderPool } from '@commons/backend/lib/database/service-pools.js';
import { abandonClaim } from '@commons/backend/runs/records/doubtful-claim.js';
import { createBatchJobRun } from '../../helpers/factories/batch-job-run-factory.js';
import { rowOf } from '../../helpers/new-run.js';

const active = async (columns: object = {}) => String((await createBatchJobRun({ status: 'running', leaseUntil: knex.raw("now() + interval '1 h'"), ...columns })).id);

afterEach(() => jest.restoreAllMocks());

describe('a claim that was given up', () => {
  it('has its run fail, whether that bears its mark or was made with others', async () => {
    const claim = uuidv7();
    const [marked, gathered] = [await active({ claim, attempt: 2 }), await active()];
    await Promise.all([abandonClaim(claim), abandonClaim(gathered)]);
    for (const id of [marked, gathered]) expect(await rowOf(id)).toMatchObject({ status: 'failed', error: { name: 'RunNotStarted' }, leaseUntil: null, finishedAt: expect.any(Date) });
  });

  it('leaves alone the next attempt of its run, which somebody else has claimed meanwhile', async () => {
    const id = await active({ attempt: 2, claim: uuidv7() });
    const before = await rowOf(id);
    await abandonClaim(id);
    expect(await rowOf(id)).toEqual(before);
  });

  it('has its run fail, although that is committed only now', async () => {
    const id = uuidv7();
    const abandoned = abandonClaim(id);
    await active({ id });
    await abandoned;
    expect(await rowOf(id)).toMatchObject({ status: 'failed' });
  });

  it('is cleared up with all others in one statement at a time, as soon as the database takes it', async () => {
    const ids = await Promise.all(Array.from({ length: 30 }, () => active()));
    const query = recorderPool.query.bind(recorderPool);
    let times = 0;
    jest.spyOn(recorderPool, 'query').mockImplementation(async (asked) => {
      if (++times === 1) throw Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' });
      return query(asked) as never;
    });
    await Promise.all(ids.map(abandonClaim));
    expect(times).toBeLessThan(5);
    expect(await knex('batch_job_run').whereIn('id', ids).where({ status: 'failed' })).toHaveLength(30);
  });
});
