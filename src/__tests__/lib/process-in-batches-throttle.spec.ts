import { setTimeout as sleep } from 'node:timers/promises';
import knex from '@commons/backend/lib/knex.js';
import { activeSessionsOver, outsideHours, processInBatches, replicationLagOver, type ThrottleCondition } from '@commons/backend/lib/process-in-batches.js';
import { type RunProgress, runInScope } from '@commons/backend/lib/run-scope.js';
import { RunDatabase } from '@commons/backend/lib/run-knex/run-database.js';

/** Processes three batches of ten inside a run. */
function start(throttle: ThrottleCondition | ThrottleCondition[]) {
  const controller = new AbortController();
  const reports: RunProgress[] = [];
  const run = {
    id: 'test', jobName: 'test', attempt: 1, deadline: new Date(), isDryRun: false, signal: controller.signal,
    cursor: undefined, onlyKeys: undefined, failure: () => undefined, checkpoint: async () => undefined,
    progress: (counts: RunProgress) => void reports.push(counts),
  };
  const result = runInScope({ run, database: new RunDatabase(run), keepLine: () => undefined }, () =>
    processInBatches({ query: Array.from({ length: 25 }, (_, n) => n), batchSize: 10, throttle, batch: () => sleep(5) }),
  );
  return { result, reports, stop: () => controller.abort(new Error('told to stop')) };
}

describe('throttle', () => {
  it('asks before every batch', async () => {
    const condition = jest.fn(() => false as const);
    await start(condition).result;
    expect(condition).toHaveBeenCalledTimes(3);
  });

  it('pauses for the first reason there is, shows it in the progress, and goes on once there is none', async () => {
    let asked = 0;
    const { result, reports } = start([() => undefined, async () => (++asked === 2 ? 'the moon is full' : false), () => '']);
    await expect(result).resolves.toMatchObject({ processed: 25 });
    const paused = reports.findIndex((report) => report.paused === 'the moon is full');
    expect(reports[paused]).toMatchObject({ processed: 10 });
    expect(reports[paused + 1]).not.toHaveProperty('paused');
    expect(reports[paused + 1]).toMatchObject({ processed: 10 });
  });

  it('leaves the pause out of the rate', async () => {
    let asked = 0;
    const { result, reports } = start(() => (++asked === 2 ? 'wait' : false));
    await result;
    // Twenty-five rows in some 15 ms of work, and a second of waiting.
    expect(reports.at(-1)!.rate).toBeGreaterThan(60);
  });

  it('heeds the signal at once while it pauses, and throws its reason', async () => {
    const { result, reports, stop } = start(() => 'for ever');
    void sleep(100).then(stop);
    const started = performance.now();
    await expect(result).rejects.toThrow('told to stop');
    expect(performance.now() - started).toBeLessThan(600);
    expect(reports[0]).toMatchObject({ paused: 'for ever' });
    expect(reports.at(-1)).not.toHaveProperty('paused');
  });

  it('fails with what a condition throws, since a check that cannot be made protects nothing', async () => {
    await expect(start(() => Promise.reject(new Error('cannot look'))).result).rejects.toThrow('cannot look');
  });
});

describe('activeSessionsOver', () => {
  it('says what to do where the role may not see others', async () => {
    // The first queries of this file: the pool has one connection yet.
    await knex.raw('create role blind; set role blind');
    try {
      await expect(activeSessionsOver(500)()).rejects.toThrow(/grant pg_monitor to "blind"/);
    } finally {
      await knex.raw('reset role; drop role blind');
    }
  });

  it('counts the sessions that work at present, but for its own', async () => {
    const sleeping = Promise.all([knex.raw('select pg_sleep(0.5)'), knex.raw('select pg_sleep(0.5)')]);
    await sleep(150);
    await expect(activeSessionsOver(1)()).resolves.toMatch(/^\d+ active sessions \(over 1\)$/);
    await expect(activeSessionsOver(500)()).resolves.toBe(false);
    await sleeping;
  });

  it('asks the database once a second at most', async () => {
    const condition = activeSessionsOver(500);
    const onQuery = jest.fn();
    knex.on('query', onQuery);
    for (let n = 0; n < 5; n++) await condition();
    expect(onQuery).toHaveBeenCalledTimes(1);
    await sleep(1_000);
    await condition();
    knex.removeListener('query', onQuery);
    expect(onQuery).toHaveBeenCalledTimes(2);
  });

  it('refuses what is no number', () => {
    expect(() => activeSessionsOver(NaN)).toThrow(/takes a number of sessions/);
  });
});

describe('replicationLagOver', () => {
  it('has no reason to wait where there is no replica', async () => {
    await expect(replicationLagOver('5s')()).resolves.toBe(false);
  });

  it('refuses what is no duration', () => {
    expect(() => replicationLagOver('soon')).toThrow(/is not a duration/);
  });
});

describe('outsideHours', () => {
  const at = (time: string, hours: Parameters<typeof outsideHours>[0]) => {
    jest.useFakeTimers({ now: new Date(time), doNotFake: ['setTimeout', 'setImmediate', 'nextTick'] });
    try {
      return outsideHours(hours)();
    } finally {
      jest.useRealTimers();
    }
  };

  it.each([
    ['2026-01-15T02:59:00Z', 'before'],
    ['2026-01-15T03:00:00Z', undefined],
    ['2026-01-15T10:59:59Z', undefined],
    ['2026-01-15T11:00:00Z', 'after'],
    // In summer New York is four hours from Greenwich, not five.
    ['2026-07-15T02:00:00Z', undefined],
    ['2026-07-15T10:00:00Z', 'after'],
  ])('across midnight in New York, at %s: %s', (time, outside) => {
    const reason = at(time, { from: '22:00', to: '06:00', timeZone: 'America/New_York' });
    expect(reason).toBe(outside !== undefined && 'outside 22:00 to 06:00 America/New_York');
  });

  it.each([
    ['2026-01-15T08:59:00Z', true],
    ['2026-01-15T09:00:00Z', false],
    ['2026-01-15T16:59:00Z', false],
    ['2026-01-15T17:00:00Z', true],
    ['2026-01-15T00:00:00Z', true],
  ])('within a day, at %s: %p', (time, isOutside) => {
    expect(typeof at(time, { from: '09:00', to: '17:00', timeZone: 'UTC' }) === 'string').toBe(isOutside);
  });

  it.each([
    [{ from: '24:00', to: '06:00', timeZone: 'UTC' }, /'24:00' is no time of day/],
    [{ from: '9:00', to: '17:00', timeZone: 'UTC' }, /'9:00' is no time of day/],
    [{ from: '09:00', to: '09:00', timeZone: 'UTC' }, /leaves no hours/],
    [{ from: '09:00', to: '10:00', timeZone: 'Mars/Base' }, /time zone/],
  ])('refuses %j', (hours, message) => {
    expect(() => outsideHours(hours)).toThrow(message);
  });
});
