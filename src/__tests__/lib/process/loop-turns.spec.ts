import { inTurn } from '@commons/backend/lib/process/loop-turns.js';
import { tryCurrentRun } from '@commons/backend/lib/run-scope.js';
import { TestRun } from '../../helpers/test-scope.js';

/** Holds the event loop for longer than steps may take of one turn. */
function holdUp(): void {
  for (const until = performance.now() + 15; performance.now() < until; );
}

describe('inTurn', () => {
  it('does steps in their order, with turns of the event loop between long ones', async () => {
    const order: string[] = [];
    const steps = ['a', 'b', 'c'].map((name) => inTurn(() => {
      holdUp();
      order.push(name);
    }));
    setImmediate(() => order.push('another'));
    await Promise.all(steps);
    expect(order.filter((name) => name !== 'another')).toEqual(['a', 'b', 'c']);
    expect(order.indexOf('another')).toBeLessThan(order.indexOf('c'));
  });

  it('does each step in the run, or outside of runs, that asked for it, whoever else waits', async () => {
    const runs = [new TestRun(), new TestRun()];
    const inside = runs.map((run) => run.do(() => Promise.all([inTurn(holdUp), inTurn(() => tryCurrentRun()?.id)])));
    const outside = inTurn(() => tryCurrentRun()?.id);
    const found = await Promise.all(inside);
    expect(found.map(([, id]) => id)).toEqual(runs.map(({ id }) => id));
    expect(await outside).toBeUndefined();
  });

  it('rejects with what a step throws, and goes on with the next', async () => {
    const first = inTurn(() => { throw new Error('no good'); });
    await expect(first).rejects.toThrow('no good');
    await expect(inTurn(() => 1)).resolves.toBe(1);
  });
});
