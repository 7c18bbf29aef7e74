import knex from '@commons/backend/lib/knex.js';
import { RunFailureBuffer } from '@commons/backend/runs/failure-buffer.js';

const written = jest.fn(async () => undefined);
const buffer = () => new RunFailureBuffer(written, (error) => { throw error; });
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
