import { type RefusedRun, anotherIsActive, whyNotAgain, whyNotCancelled } from '@commons/backend/runs/records/run-refusals.js';
import { RUN_STATUSES } from '@commons/backend/runs/records/run-status.js';

const ID = '018f0000-0000-7000-8000-000000000000';
const run = (overrides: Partial<RefusedRun> = {}): RefusedRun => ({
  id: ID, status: 'running', host: 'a-host', queuedAt: new Date('2026-11-23T05:00:00.5Z'), startedAt: new Date('2026-11-23T06:00:00.5Z'), finishedAt: new Date('2026-11-23T07:00:00.5Z'), ...overrides,
});

describe('a refusal', () => {
  const sentences = RUN_STATUSES.flatMap((status) => [whyNotAgain(run({ status })), whyNotCancelled(run({ status }))].map((text) => ({ status, text })));

  it.each(sentences)('of a run that is $status names it, its state, and what is in the way: $text', ({ status, text }) => {
    expect(text).toContain(ID);
    expect(text).toContain(status);
    expect(text).toMatch(/[.]$|[0-9a-f]{12}( --only-failed)?$/);
  });

  it('of a run says since when, by the time that its state began', () => {
    expect(whyNotAgain(run({ status: 'queued' }))).toContain('queued since 2026-11-23T05:00:00Z');
    expect(whyNotAgain(run())).toContain('running since 2026-11-23T06:00:00Z on a-host');
    expect(whyNotAgain(run({ status: 'succeeded' }))).toContain('has succeeded at 2026-11-23T07:00:00Z');
    expect(whyNotCancelled(run({ status: 'timed_out' }))).toContain('timed_out since 2026-11-23T07:00:00Z');
  });

  it('of a run that failed says that it can be retried, and its failed items alone', () => {
    const text = whyNotCancelled(run({ status: 'failed' }));
    for (const act of ['resume', 'retry', 'retry?only=failed']) expect(text).toContain(`POST /runs/${ID}/${act}, or `);
  });

  it('leaves out what a row does not hold', () => {
    const bare = run({ host: null, startedAt: null });
    expect(whyNotAgain(bare)).toMatch(new RegExp(`^Run ${ID} is running, so it cannot be started again`));
    expect(anotherIsActive(bare)).toMatch(new RegExp(`active: ${ID}, running, and its config`));
  });

  it('because of another run says how to cancel that, in both ways; and nothing of the kind once it has ended', () => {
    expect(anotherIsActive(run())).toMatch(new RegExp(`POST /runs/${ID}/cancel, or npm run -s job -- cancel ${ID}$`));
    expect(anotherIsActive(undefined)).not.toContain('cancel');
  });
});
