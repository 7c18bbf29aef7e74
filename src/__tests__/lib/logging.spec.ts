import { spawn } from 'node:child_process';
import path from 'node:path';
import fc from 'fast-check';
import { z } from 'zod';
import logger from '@commons/backend/lib/logging.js';
import { type LogLine, runInScope } from '@commons/backend/lib/run-scope.js';
import { builtProgram } from '../helpers/built-program.js';
import { anything } from '../helpers/hostile.js';
import { TestRun } from '../helpers/test-scope.js';

// In this process nothing is written: that it is read at the first call, and not at the import above, is part of the test.
process.env.LOG_LEVEL = 'silent';

const ROOT = path.resolve(__dirname, '../../..');

/** Runs one scenario of fixtures/logging-process.ts. */
function runProcess(scenario: string, env: NodeJS.ProcessEnv = {}, { closeStdout = false } = {}) {
  const child = spawn(process.execPath, builtProgram('src/__tests__/fixtures/logging-process.ts', scenario), {
    cwd: ROOT,
    env: { PATH: process.env.PATH, LOG_LEVEL: 'info', ...env },
  });
  const output = { stdout: '', stderr: '' };
  child.stderr.on('data', (part: Buffer) => (output.stderr += part.toString()));
  if (closeStdout) child.stdout.destroy();
  else child.stdout.on('data', (part: Buffer) => (output.stdout += part.toString()));
  return new Promise<{ stdout: string; stderr: string; code: number | null }>((resolve) => child.once('close', (code) => resolve({ ...output, code })));
}

const RUN = new TestRun({ id: '0193a0f2-5c11-7abc-8def-0123456789ab', jobName: 'backfill-thing' });

/** The lines that a run keeps of what `work` logs. */
function keptOf(work: () => void): LogLine[] {
  const lines: LogLine[] = [];
  runInScope({ run: RUN, database: RUN.database, keepLine: (line) => lines.push(line) }, work);
  return lines;
}

const dataOf = (line: LogLine | undefined): unknown => (line?.data === undefined ? undefined : JSON.parse(line.data));

describe('what is written', () => {
  it('is a readable line a call on stdout, from LOG_LEVEL upward', async () => {
    const { stdout, stderr, code } = await runProcess('every level');
    expect(stdout.split('\n').map((line) => line.replace(/^\S+Z /, '').replace(/ \(.*\)$/, '')).slice(0, 5)).toEqual([
      'INFO  [TAG] a log {"n":1}',
      'WARN  [TAG] a warning\\nof two lines',
      'ERROR [TAG] backfill-thing/456789ab TypeError: no good {"n":1}',
      expect.stringMatching(/^ {4}at /),
      expect.stringMatching(/^ {4}at /),
    ]);
    expect([stderr, code]).toEqual(['', 0]);
  });

  it('is Google Cloud\'s JSON in production, one object a line', async () => {
    const { stdout } = await runProcess('every level', { DEPLOYMENT: 'production', GOOGLE_CLOUD_PROJECT: 'p', LOG_LEVEL: 'debug' });
    const entries: Record<string, unknown>[] = stdout.trimEnd().split('\n').map((line) => JSON.parse(line));
    expect(entries.map(({ severity }) => severity)).toEqual(['DEBUG', 'INFO', 'WARNING', 'ERROR']);
    expect(entries[3]).toMatchObject({
      message: 'TypeError: no good', stack_trace: expect.stringContaining('logging-process'), data: { n: 1 },
      'logging.googleapis.com/labels': { tag: 'TAG', jobName: 'backfill-thing', runId: RUN.id },
      'logging.googleapis.com/trace': 'projects/p/traces/0af7651916cd43dd8448eb211c80319c',
    });
  });

  it('is nothing at LOG_LEVEL silent', async () => {
    expect(await runProcess('every level', { LOG_LEVEL: 'silent' })).toEqual({ stdout: '', stderr: '', code: 0 });
  });

  it('is there although the environment is not usable', async () => {
    const { stdout } = await runProcess('every level', { DEPLOYMENT: 'nowhere' });
    expect(stdout).toContain('INFO  [TAG] a log');
  });

  it('is out before a process that exits at once', async () => {
    const { stdout, code } = await runProcess('exit at once');
    expect(stdout).toMatch(/first\n.*second\n$/);
    expect(code).toBe(3);
  });

  it('goes to stderr after logToStderr()', async () => {
    const { stdout, stderr } = await runProcess('move to stderr');
    expect(stdout).toMatch(/^\S+ INFO {2}before\n$/);
    expect(stderr).toMatch(/^\S+ INFO {2}after\n$/);
  });

  it('does not end the process when nobody reads it any more', async () => {
    expect(await runProcess('reader gone', {}, { closeStdout: true })).toMatchObject({ stderr: 'still here\n', code: 0 });
  });
});

describe('what a run keeps', () => {
  it('is every line, whatever LOG_LEVEL says', () => {
    const lines = keptOf(() => {
      logger.debug('a debug', 'TAG', { n: 1 });
      logger.log('a log');
      logger.warn('a warning', 'TAG');
      logger.error('an error', { tag: 'TAG', n: 2 });
    });
    const at = expect.any(Date);
    expect(lines).toEqual([
      { at, level: 'debug', tag: 'TAG', message: 'a debug', data: '{"n":1}' },
      { at, level: 'info', tag: undefined, message: 'a log', data: undefined },
      { at, level: 'warn', tag: 'TAG', message: 'a warning', data: undefined },
      { at, level: 'error', tag: 'TAG', message: 'an error', data: '{"n":2}' },
    ]);
  });

  it('of an error is its message, and in the data its description with what was given beside it', () => {
    const [line] = keptOf(() => logger.error(new TypeError('no good', { cause: 'why' }), { tag: 'TAG', n: 1 }));
    expect(line).toMatchObject({ level: 'error', tag: 'TAG', message: 'no good' });
    expect(dataOf(line)).toEqual({ error: { name: 'TypeError', message: 'no good', stack: expect.any(String), cause: { name: 'NonError', message: 'why' } }, n: 1 });
  });

  it('of a ZodError is its issues in one line, without what was received', () => {
    const { error } = z.object({ count: z.number(), rows: z.array(z.string()) }).safeParse({ count: 'SECRET', rows: [5] });
    const [line] = keptOf(() => logger.error(error, { tag: 'TAG' }));
    expect(line?.message).toBe('count: Invalid input: expected number, received string; rows.0: Invalid input: expected string, received number');
    expect(JSON.stringify(line)).not.toContain('SECRET');
  });

  it('is of bounded size, and what was too big says so', () => {
    const [line] = keptOf(() => logger.log('m'.repeat(1e6), 't'.repeat(1e6), { a: 'x'.repeat(5_000), b: 'x'.repeat(5_000) }));
    expect(Buffer.byteLength(line!.tag!)).toBeLessThanOrEqual(100);
    expect(Buffer.byteLength(line!.message)).toBeLessThanOrEqual(8_192);
    expect(line!.message).toContain('1000000 bytes in all');
    expect(dataOf(line)).toMatchObject({ truncated: true });
  });

  it('is nothing outside a run', () => {
    const lines = keptOf(() => undefined);
    logger.log('outside');
    expect(lines).toEqual([]);
  });
});

describe('a call', () => {
  it('never throws, and keeps a line with JSON data, whatever it is given', () => {
    fc.assert(fc.property(anything(), (make) => {
      const value = make();
      const meta = value as Parameters<typeof logger.error>[1];
      const lines = keptOf(() => {
        logger.log(value as string, value as string, value);
        logger.warn('a warning', 'TAG', value);
        logger.error(value, meta);
        logger.error(new Error('x'), { tag: 'TAG', value });
        const scoped = logger.createScopedLogger({ tag: 'S', value });
        scoped.log('scoped', value);
        scoped.error(value, meta);
      });
      expect(lines).toHaveLength(6);
      for (const line of lines) dataOf(line);
    }));
  });

  it('never throws when the run cannot keep the line', () => {
    const keepLine = () => {
      throw new Error('full');
    };
    expect(() => runInScope({ run: RUN, database: RUN.database, keepLine }, () => logger.log('a log'))).not.toThrow();
  });

  it('drops what a getter of its own data logs, and ends', () => {
    const data = {
      get n() {
        logger.error(data);
        return 1;
      },
    };
    expect(keptOf(() => logger.log('outer', 'TAG', data)).map(({ message, data: text }) => [message, text])).toEqual([['outer', '{"n":1}']]);
    expect(keptOf(() => logger.log('later'))).toHaveLength(1);
  });
});

describe('createScopedLogger', () => {
  it('gives every line the tag and the fields', () => {
    const scoped = logger.createScopedLogger({ tag: 'LOADER', state: 'CA' });
    const lines = keptOf(() => {
      scoped.log('one');
      scoped.warn('two', { n: 2, state: 'NY' });
      scoped.debug('three', [3]);
      scoped.error('four', { n: 4 });
    });
    expect(lines.map(({ level, tag, message }) => `${level} ${tag} ${message}`)).toEqual(['info LOADER one', 'warn LOADER two', 'debug LOADER three', 'error LOADER four']);
    expect(lines.map(dataOf)).toEqual([{ state: 'CA' }, { n: 2, state: 'NY' }, { state: 'CA', data: [3] }, { state: 'CA', n: 4 }]);
  });

  it('adds no data of its own where it has only a tag', () => {
    const scoped = logger.createScopedLogger({ tag: 'LOADER' });
    expect(keptOf(() => scoped.log('one', 5)).map(({ data }) => data)).toEqual(['5']);
  });
});

describe('jest.mock of the module', () => {
  it('replaces every function of the logger', () => {
    const mocked = jest.createMockFromModule<{ default: typeof logger; logToStderr: () => void }>('@commons/backend/lib/logging.js');
    mocked.default.log('a log', 'TAG', { n: 1 });
    mocked.default.error(new Error('x'), { tag: 'TAG' });
    expect(mocked.default.log).toHaveBeenCalledWith('a log', 'TAG', { n: 1 });
    for (const name of ['log', 'warn', 'debug', 'error', 'createScopedLogger'] as const) expect(jest.isMockFunction(mocked.default[name])).toBe(true);
  });
});
