import { toUSVString } from 'node:util';
import vm from 'node:vm';
import fc from 'fast-check';
import { z } from 'zod';
import knex from '@commons/backend/lib/knex.js';
import { describeError } from '@commons/backend/lib/errors/error-description.js';
import { anything, HOSTILE } from '../../helpers/hostile.js';

const isClean = (text: string) => toUSVString(text) === text && !text.includes('\0');

describe('describeError', () => {
  it('describes anything at all in clean strings, and never throws', () => {
    fc.assert(fc.property(anything(), (make) => {
      for (let each = describeError(make()), left = 10; each && left > 0; each = each.cause!, left--) {
        expect([each.name, each.message, each.stack ?? '', each.code ?? ''].every((text) => typeof text === 'string' && isClean(text))).toBe(true);
      }
    }));
  });

  it.each(Object.entries(HOSTILE))('describes %s', (_, make) => {
    const { name, message } = describeError(make());
    expect([typeof name, typeof message]).toEqual(['string', 'string']);
    expect(name).not.toBe('');
  });

  it('describes what is no error', () => {
    expect([undefined, null, 'oh no', 5n, { a: 1 }].map((thrown) => describeError(thrown))).toEqual([
      { name: 'NonError', message: 'undefined was thrown' },
      { name: 'NonError', message: 'null was thrown' },
      { name: 'NonError', message: 'oh no' },
      { name: 'NonError', message: '"5" was thrown' },
      { name: 'NonError', message: '{"a":1} was thrown' },
    ]);
  });

  it('takes an error\'s name, message, code and stack, and no other field', () => {
    const error = Object.assign(new TypeError('no good'), { code: 'E_NO', config: { headers: 'secret' } });
    expect(describeError(error)).toEqual({ name: 'TypeError', message: 'no good', code: 'E_NO', stack: expect.stringMatching(/^TypeError: no good\n {4}at /) });
  });

  it('names an error after its class where it has no name of its own', () => {
    class QuotaError extends Error {}
    expect(describeError(new QuotaError('full')).name).toBe('QuotaError');
    expect(describeError(vm.runInNewContext('new RangeError("far")'))).toMatchObject({ name: 'RangeError', message: 'far' });
  });

  it('keeps the code of a Postgres error, and never what quotes the values of a row', () => {
    const error = Object.assign(new Error('insert into "person" values ($1) - duplicate key value'), {
      name: 'error', severity: 'ERROR', code: '23505', detail: 'Key (email)=(ann@example.org) already exists.', where: 'COPY person, line 1: "ann"',
    });
    const described = describeError(error);
    expect(described).toMatchObject({ name: 'DatabaseError', code: '23505', message: expect.stringContaining('duplicate key value') });
    expect(JSON.stringify(described)).not.toContain('ann');
  });

  it.each([
    ['22P02', 'invalid input syntax for type integer: "John "Jack" - Smith\n    at 123-45-6789"', 'invalid input syntax for type integer: "[Value]"'],
    ['22003', 'value "12 - 3456" is out of range for type integer', 'value "[Value]" is out of range for type integer'],
    ['22023', 'time zone "John" not recognized', 'time zone "[Value]" not recognized'],
    ['22P02', 'invalid input value for enum color: "John"', 'invalid input value for enum color: "[Value]"'],
    ['23505', 'duplicate key value violates unique constraint "person_key"', 'duplicate key value violates unique constraint "person_key"'],
    ['23502', 'insert into "person" ("name") values ($1) - null value in column "name" of relation "person" violates not-null constraint', 'insert into "person" ("name") values ($1) - null value in column "name" of relation "person" violates not-null constraint'],
    ['22P02', `select * from "person" where "name" = 'John' and "n" = $1 - invalid input syntax for type integer: "John"`, `select * from "person" where "name" = '[Value]' and "n" = $1 - invalid input syntax for type integer: "[Value]"`],
  ])('blanks the values in a message of Postgres, and keeps names (%s)', (code, message, expected) => {
    const error = Object.assign(new Error(message), { name: 'error', severity: 'ERROR', code });
    const described = describeError(error);
    expect(described).toMatchObject({ code, message: expected, stack: expect.stringContaining('error-description.spec') });
    expect(described.stack!.startsWith(`DatabaseError: ${expected}\n    at `)).toBe(true);
    expect(JSON.stringify(described)).not.toMatch(/John|6789|3456/);
  });

  it('blanks them in what the driver really throws, through knex with its SQL', async () => {
    const error: unknown = await knex('zip_code').where({ latitude: 'John 123-45-6789' as never }).catch((thrown: unknown) => thrown);
    const described = describeError(error);
    expect(described).toMatchObject({ code: '22P02', message: 'select * from "zip_code" where "latitude" = $1 - invalid input syntax for type double precision: "[Value]"' });
    expect(JSON.stringify(described)).not.toContain('John');
  });

  it('takes users and passwords out of addresses', () => {
    expect(JSON.stringify(describeError(new Error('no answer from postgres://me:hush@host/db')))).not.toContain('hush');
  });

  it('puts the issues of a ZodError on one line, without what was received', () => {
    const { error } = z.object({ count: z.number(), list: z.array(z.enum(['a', 'b'])) }).safeParse({ count: 'SECRET', list: ['SECRET'] });
    const described = describeError(error);
    expect(described).toMatchObject({
      name: 'ZodError',
      message: 'count: Invalid input: expected number, received string; list.0: Invalid option: expected one of "a"|"b"',
    });
    expect(JSON.stringify(described)).not.toContain('SECRET');
  });

  it('says how many issues it leaves out, and where an issue is of the whole', () => {
    expect(describeError(z.string().safeParse(1).error).message).toBe('(top): Invalid input: expected string, received number');
    const { error } = z.array(z.number()).safeParse(Array.from({ length: 25 }, () => 'x'));
    expect(describeError(error).message).toMatch(/; and 5 more$/);
  });

  it('puts a readable message into the stack of a ZodError', () => {
    try {
      z.object({ count: z.number() }).parse({});
    } catch (error) {
      expect(describeError(error).stack).toMatch(/^ZodError: count: Invalid input: expected number, received undefined\n {4}at /);
    }
    expect.assertions(1);
  });

  it('takes the message of an AggregateError that has none from its parts', () => {
    const error = new AggregateError([new Error('connect ECONNREFUSED ::1:5432'), new Error('connect ECONNREFUSED 127.0.0.1:5432')]);
    expect(describeError(error).message).toBe('connect ECONNREFUSED ::1:5432; connect ECONNREFUSED 127.0.0.1:5432');
  });

  it('follows the causes for five errors, and says that there are more', () => {
    let error: unknown = 'the root';
    for (let n = 0; n < 9; n++) error = new Error(`error ${n}`, { cause: error });
    const names = [];
    for (let each = describeError(error); each; each = each.cause!) names.push(each.name === 'Error' ? each.message : each.name);
    expect(names).toEqual(['error 8', 'error 7', 'error 6', 'error 5', 'error 4', 'error 3', 'MoreCauses']);
  });

  it('stops where the causes go in a circle', () => {
    const error = new Error('outer', { cause: new Error('inner') });
    (error.cause as Error).cause = error;
    expect(describeError(error).cause).toMatchObject({ message: 'inner', cause: { name: 'CircularCause' } });
  });

  it('keeps of a message of 100 MB its beginning and its end, and the frames of its stack', () => {
    const { message, stack } = describeError(new Error(`start ${'x'.repeat(100e6)} end`));
    expect(Buffer.byteLength(message)).toBeLessThanOrEqual(8_192);
    expect(message).toMatch(/^start x+ \[…100000010 bytes in all…\] x+ end$/);
    expect(Buffer.byteLength(stack!)).toBeLessThanOrEqual(16_384);
    expect(stack).toMatch(/^Error: start x+[^]+\n {4}at .*error-description\.spec/);
  });
});
