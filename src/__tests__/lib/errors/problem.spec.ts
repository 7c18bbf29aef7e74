import fc from 'fast-check';
import { z } from 'zod';
import { AcceptableError, StatusError } from '@commons/backend/jobs/helpers.js';
import { problemOf } from '@commons/backend/lib/errors/problem.js';
import { ServiceError } from '@commons/backend/lib/errors/service-error.js';

describe('problemOf', () => {
  it('gives a StatusError its status, and its text as detail', () => {
    expect(problemOf(new StatusError(400, 'Invalid request body'))).toEqual({
      type: 'about:blank', title: 'Bad Request', status: 400, detail: 'Invalid request body',
    });
  });

  it('gives a StatusError that carries an object the object as data', () => {
    expect(problemOf(new StatusError(409, { taskId: 7 }))).toMatchObject({ status: 409, title: 'Conflict', data: { taskId: 7 } });
  });

  it.each([0, 99, 200, 302, 399, 600, 999, 404.5, NaN, '404'])('does not honour the status %p of a StatusError', (status) => {
    expect(problemOf(new StatusError(status as number, 'x'))).toMatchObject({ status: 500, detail: 'The job failed. Its run says how.' });
  });

  it('honours 2xx of an AcceptableError, but no other status below 400', () => {
    expect(problemOf(new AcceptableError(200, 'already done')).status).toBe(200);
    expect(problemOf(new AcceptableError(302, 'x')).status).toBe(500);
  });

  it('makes a ZodError that escaped a 400 that names every path and repeats no value', () => {
    const { error } = z.object({ patients: z.array(z.object({ age: z.number() })) }).safeParse({ patients: [{ age: 'hunter2' }] });
    const problem = problemOf(error);
    expect(problem).toMatchObject({ status: 400, errors: [{ path: 'patients.0.age', code: 'invalid_type' }] });
    expect(JSON.stringify(problem)).not.toContain('hunter2');
  });

  it('makes a wait for a connection that was in vain a 503, but not a query that passed its own timeout', () => {
    const named = (message: string) => Object.assign(new Error(message), { name: 'KnexTimeoutError' });
    expect(problemOf(named('Knex: Timeout acquiring a connection. The pool is probably full.')).status).toBe(503);
    expect(problemOf(named('Defined query timeout of 100ms exceeded when running query.')).status).toBe(500);
  });

  it('passes on the words of the service\'s own errors', () => {
    expect(problemOf(new ServiceError(503, 'Send it again.'))).toMatchObject({ status: 503, detail: 'Send it again.' });
  });

  it.each([undefined, null, 'text', 42, new Error('secret'), { status: 404, message: 'secret' }, Object.assign(new Error('secret'), { status: 403 })])(
    'tells nothing of %p',
    (error) => {
      expect(problemOf(error)).toEqual({ type: 'about:blank', title: 'Internal Server Error', status: 500, detail: 'The job failed. Its run says how.' });
    },
  );

  it('never throws, whatever was thrown', () => {
    fc.assert(fc.property(fc.anything({ withNullPrototype: true }), (thrown) => problemOf(thrown).status === 500));
    const trap = () => {
      throw new Error('trapped');
    };
    const hostile = new Proxy(new StatusError(400, 'x'), { get: trap, getPrototypeOf: trap });
    expect(problemOf(hostile).status).toBe(500);
  });
});
