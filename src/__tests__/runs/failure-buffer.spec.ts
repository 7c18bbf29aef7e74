import knex from '@commons/backend/lib/knex.js';
import { RunFailureBuffer } from '@commons/backend/runs/failure-buffer.js';

const written = jest.fn(async () => undefined);
const buffer = (count = async () => 0) => new RunFailureBuffer({ write: written, count, onError: (error) => { throw error; } });
const failed = (key: number) => ({ key, error: new Error('no good') });

describe('the count of failed items', () => {
  it('is of all of them, whether they are kept or not', async () => {
    const failures = buffer();
    for (let key = 0; key < 10_005; key++) failures.add(failed(key));
    expect(failures.items).toBe(10_005);
    await failures.flush();
    expect(failures.items).toBe(10_005);
  });

  it('counts those of a transaction once it commits, those beyond what is kept too', async () => {
    const failures = buffer();
    for (let key = 0; key < 9_999; key++) failures.add(failed(key));
    await knex.transaction(async (trx) => {
      for (let key = 0; key < 3; key++) failures.add(failed(key), trx);
      expect(failures.items).toBe(9_999);
      await failures.flushIn(trx);
    });
    expect(failures.items).toBe(10_002);
  });

  it('is at the end of what is kept, where transactions were; and of what is known, where that cannot be found out', async () => {
    for (const isReachable of [true, false]) {
      const errors: unknown[] = [];
      const count = async () => (isReachable ? 1 : Promise.reject(new Error('unreachable')));
      const failures = new RunFailureBuffer({ write: written, count, onError: (error) => errors.push(error) });
      failures.add(failed(0));
      const trx = await knex.transaction();
      failures.add(failed(1), trx);
      await failures.flushIn(trx);
      await trx.rollback();
      await failures.settle(0);
      expect([failures.items, errors.length]).toEqual(isReachable ? [1, 0] : [2, 1]);
    }
  });

  it('moves those that are done again behind the place of the checkpoint', async () => {
    const failures = buffer();
    for (const key of [5, 1, 7]) failures.add(failed(key));
    expect(failures.mark([5, 7])).toEqual({ seq: 3, unkept: 0 });
    await failures.flush();
    expect(written).toHaveBeenLastCalledWith([1, 3, 4].map((seq) => expect.objectContaining({ seq })));
    failures.add(failed(8));
    expect([failures.mark(), failures.items]).toEqual([{ seq: 6, unkept: 0 }, 4]);
  });

  it('forgets those of a transaction that is rolled back', async () => {
    const failures = buffer();
    const rolledBack = knex.transaction(async (trx) => {
      failures.add(failed(1), trx);
      await failures.flushIn(trx);
      throw new Error('undone');
    });
    await expect(rolledBack).rejects.toThrow('undone');
    expect(failures.items).toBe(0);
  });
});
