import fc from 'fast-check';
import type { Knex } from 'knex';
import { inDryRun, inRun } from '@commons/backend/__tests__/helpers/test-scope.js';
import knex from '@commons/backend/lib/knex.js';
import type { RunTransactionConfig } from '@commons/backend/lib/run-knex/lazy-savepoint.js';

const LAZY: RunTransactionConfig = { isLazy: true };

beforeEach(() => knex.raw('drop table if exists item; create table item (id serial primary key, value int not null)'));

/** What is sent inside a transaction. */
async function sentBy(work: (trx: Knex.Transaction) => Promise<unknown>): Promise<string[]> {
  const sent: string[] = [];
  await knex.transaction(async (trx) => {
    trx.client.on('query', ({ sql }: { sql: string }) => sent.push(sql.replace(/ trx\d+;?/, '')));
    await work(trx);
    trx.client.removeAllListeners('query');
  });
  return sent;
}

describe('a lazy savepoint', () => {
  it.each([['a run', inRun], ['a dry run', inDryRun]])('is not sent where nothing is done inside it, in %s', async (_what, inside) => {
    const sent = await inside(() => sentBy(async (trx) => {
      await expect(trx.transaction(async () => 7, LAZY)).resolves.toBe(7);
      await expect(trx.transaction(async () => { throw new Error('no'); }, LAZY)).rejects.toThrow('no');
      await expect(trx.transaction((savepoint) => savepoint.rollback(), LAZY)).resolves.toBeUndefined();
    }));
    expect(sent).toEqual([]);
  });

  it.each([['a run', inRun], ['a dry run', inDryRun]])('is sent before the first statement, and ends as any does, in %s', async (_what, inside) => {
    const sent = await inside(() => sentBy(async (trx) => {
      await trx.transaction(async (savepoint) => {
        await Promise.all([savepoint.raw('select 1'), savepoint.raw('select 2')]);
      }, LAZY);
      await trx.transaction((savepoint) => savepoint.raw('select 1 / 0'), LAZY).catch(() => undefined);
      await expect(trx.raw('select 3')).resolves.toMatchObject({ rowCount: 1 });
    }));
    expect(sent).toEqual(['SAVEPOINT', 'select 1', 'select 2', 'RELEASE SAVEPOINT', 'SAVEPOINT', 'select 1 / 0', 'ROLLBACK TO SAVEPOINT', 'select 3']);
  });

  it('is sent before a stream', async () => {
    const rows: unknown[] = [];
    const sent = await sentBy((trx) => trx.transaction(async (savepoint) => {
      for await (const row of savepoint.from(knex.raw('generate_series(1, 3) n')).select('n').stream()) rows.push(row);
    }, LAZY));
    expect(rows).toEqual([{ n: 1 }, { n: 2 }, { n: 3 }]);
    expect(sent).toEqual(['SAVEPOINT', expect.stringContaining('generate_series'), 'RELEASE SAVEPOINT']);
  });

  it('refuses what is asked of it once it has ended', async () => {
    await knex.transaction(async (trx) => {
      let left: Knex | undefined;
      await trx.transaction(async (savepoint) => void (left = savepoint), LAZY);
      await expect(left!('item').insert({ value: 1 })).rejects.toThrow('already complete');
    });
    expect(await knex('item')).toEqual([]);
  });

  it('comes to the same as one that is sent at once, whatever is done in it', async () => {
    type Step = { kind: 'write' | 'fault' | 'throw' } | { kind: 'inner'; steps: Step[] };
    const { steps } = fc.letrec<{ steps: Step[]; step: Step }>((tie) => ({
      steps: fc.array(tie('step'), { maxLength: 4, depthIdentifier: 'nesting' }),
      step: fc.oneof(
        { maxDepth: 3, depthIdentifier: 'nesting' },
        { weight: 3, arbitrary: fc.constant<Step>({ kind: 'write' }) },
        { weight: 1, arbitrary: fc.constantFrom<Step>({ kind: 'fault' }, { kind: 'throw' }) },
        { weight: 4, arbitrary: fc.record({ kind: fc.constant('inner' as const), steps: tie('steps') }) },
      ),
    }));
    const perform = async (given: readonly Step[], trx: Knex.Transaction, config: RunTransactionConfig, log: string[]): Promise<void> => {
      for (const step of given) {
        if ('steps' in step) {
          await trx.transaction((inner) => perform(step.steps, inner, config, log), config).then(() => log.push('done'), (error: Error) => log.push(error.message));
        } else if (step.kind === 'write') await trx('item').insert({ value: log.push('write') });
        else if (step.kind === 'fault') await trx.raw('select 1 / 0');
        else throw new Error('thrown');
      }
    };
    const outcome = async (given: readonly Step[], config: RunTransactionConfig) => {
      const log: string[] = [];
      await knex.raw('truncate item');
      await knex.transaction((trx) => perform(given, trx, config, log)).catch((error: Error) => log.push(error.message));
      return { log, values: await knex('item').orderBy('value').pluck('value') };
    };
    await fc.assert(
      fc.asyncProperty(steps, async (given) => expect(await outcome(given, LAZY)).toEqual(await outcome(given, {}))),
      { numRuns: 60 },
    );
  });
});
