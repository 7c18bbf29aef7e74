import tty from 'node:tty';
import fc from 'fast-check';
import { googleCloudFormat, logFormat, type LogRecord, terminalFormat } from '@commons/backend/lib/logging/log-format.js';

const TRACE_ID = '0af7651916cd43dd8448eb211c80319c';
const run = { id: '0193a0f2-5c11-7abc-8def-0123456789ab', jobName: 'backfill-thing' } as NonNullable<LogRecord['run']>;
const record = (rest: Partial<LogRecord> = {}): LogRecord => ({
  at: new Date('2026-11-23T21:00:00.123Z'), level: 'info', tag: 'TAG', message: 'Loaded', data: undefined, error: undefined, run: undefined, trace: undefined, ...rest,
});
const error = { name: 'TypeError', message: 'no good', stack: 'TypeError: no good\n    at one (a.ts:1:1)\n    at two (b.ts:2:2)' };

describe('logFormat', () => {
  it('writes Google Cloud\'s JSON in staging and production, and lines for people elsewhere', () => {
    const lineIn = (deployment: 'local' | 'staging' | 'production') => logFormat({ deployment, googleCloudProject: undefined }, process.stdout)(record());
    expect(JSON.parse(lineIn('staging'))).toEqual(JSON.parse(lineIn('production')));
    expect(lineIn('local')).toBe('2026-11-23T21:00:00.123Z INFO  [TAG] Loaded');
  });
});

describe('terminalFormat', () => {
  const plain = terminalFormat({ isTTY: false, hasColors: () => true });

  it('writes time, level, tag, the run\'s job and short id, message and data', () => {
    const line = plain(record({ level: 'warn', run, data: '{"n":1}' }));
    expect(line).toBe('2026-11-23T21:00:00.123Z WARN  [TAG] backfill-thing/456789ab Loaded {"n":1}');
  });

  it('writes what it has where there is no tag, run or data', () => {
    expect(plain(record({ level: 'debug', tag: undefined }))).toBe('2026-11-23T21:00:00.123Z DEBUG Loaded');
  });

  it('puts an error\'s stack on lines of its own, and its causes below', () => {
    const cause = { name: 'DatabaseError', code: '23505', message: 'duplicate key', stack: 'error: duplicate key\n    at three (c.ts:3:3)' };
    expect(plain(record({ level: 'error', data: '{"n":1}', error: { ...error, cause } })).split('\n')).toEqual([
      '2026-11-23T21:00:00.123Z ERROR [TAG] TypeError: no good {"n":1}',
      '    at one (a.ts:1:1)',
      '    at two (b.ts:2:2)',
      '  caused by DatabaseError (23505): duplicate key',
      '    at three (c.ts:3:3)',
    ]);
  });

  it('escapes line breaks, ANSI escapes and what turns the direction of writing, wherever they are', () => {
    const line = plain(record({ tag: 'a\rb', message: 'one\ntwo\u001b[31m\t\u2028\u202e', data: '"\u009b31m"' }));
    expect(line).toBe('2026-11-23T21:00:00.123Z INFO  [a\\rb] one\\ntwo\\u001b[31m\\t\\u2028\\u202e "\\u009b31m"');
  });

  it('escapes each line of a stack', () => {
    const stack = 'E: a\n    at \u001b[2J (x.ts:1:1)\n    at y\rz';
    expect(plain(record({ error: { name: 'E', message: 'a\nINFO forged', stack } })).split('\n').slice(1)).toEqual(['    at \\u001b[2J (x.ts:1:1)', '    at y\\rz']);
  });

  it('is one line without control characters, whatever is logged', () => {
    const text = fc.string({ unit: fc.integer({ min: 0, max: 0x2100 }).map((unit) => String.fromCharCode(unit)) });
    fc.assert(fc.property(text, text, text, (tag, message, data) => {
      expect(plain(record({ tag, message, data }))).not.toMatch(/[\p{Cc}\u2028\u2029]/u);
    }));
  });

  it('has colours on a terminal that has them, and none where NO_COLOR is set', () => {
    const terminal = (env: object) => terminalFormat({ isTTY: true, hasColors: () => tty.WriteStream.prototype.hasColors(env) });
    expect(terminal({ TERM: 'xterm-256color' })(record())).toContain('\u001b[36mINFO');
    expect(terminal({ TERM: 'xterm-256color', NO_COLOR: '1' })(record())).not.toContain('\u001b');
    expect(terminal({ TERM: 'dumb' })(record())).not.toContain('\u001b');
  });
});

describe('googleCloudFormat', () => {
  const entry = (each: LogRecord, project: string | undefined = 'the-project'): Record<string, unknown> => JSON.parse(googleCloudFormat(project)(each));

  it('has severity, message, time, labels and trace where Google looks for them', () => {
    expect(entry(record({ level: 'warn', run, data: '{"n":1}', trace: TRACE_ID }))).toEqual({
      severity: 'WARNING',
      message: 'Loaded',
      time: '2026-11-23T21:00:00.123Z',
      'logging.googleapis.com/labels': { tag: 'TAG', jobName: 'backfill-thing', runId: run.id },
      'logging.googleapis.com/trace': `projects/the-project/traces/${TRACE_ID}`,
      data: { n: 1 },
    });
  });

  it('has only what is known', () => {
    expect(entry(record({ tag: undefined }))).toEqual({ severity: 'INFO', message: 'Loaded', time: '2026-11-23T21:00:00.123Z' });
  });

  it.each([
    ['an id', TRACE_ID],
    ['X-Cloud-Trace-Context', `${TRACE_ID}/1234;o=1`],
    ['traceparent', `00-${TRACE_ID}-b7ad6b7169203331-01`],
  ])('takes the trace from %s', (_, trace) => {
    expect(entry(record({ trace }))['logging.googleapis.com/trace']).toBe(`projects/the-project/traces/${TRACE_ID}`);
  });

  it('names no trace without a project, nor one that is none', () => {
    for (const trace of ['', 'x', `${TRACE_ID}0`, '../../other']) expect(entry(record({ trace }))).not.toHaveProperty(['logging.googleapis.com/trace']);
    expect(googleCloudFormat(undefined)(record({ trace: TRACE_ID }))).not.toContain('trace');
  });

  it('gives Error Reporting the stack to group by, and keeps code and causes', () => {
    const cause = { name: 'Error', message: 'why' };
    expect(entry(record({ level: 'error', message: 'no good', error: { ...error, code: 'E_NO', cause } }))).toMatchObject({
      severity: 'ERROR', message: 'TypeError (E_NO): no good', stack_trace: error.stack, error: { name: 'TypeError', code: 'E_NO', cause },
    });
  });

  it('tells Error Reporting of an error without a stack by its type', () => {
    expect(entry(record({ level: 'error', message: 'just words' }))).toMatchObject({
      message: 'just words', '@type': 'type.googleapis.com/google.devtools.clouderrorreporting.v1beta1.ReportedErrorEvent',
    });
  });

  it('is one line whatever is logged', () => {
    fc.assert(fc.property(fc.string({ unit: 'binary' }), fc.json(), (message, data) => {
      const line = googleCloudFormat('p')(record({ message, data: JSON.stringify(JSON.parse(data)) }));
      expect(line).not.toMatch(/[\r\n]/);
      expect(JSON.parse(line)).toMatchObject({ message });
    }));
  });
});
