import fc from 'fast-check';
import { createRunLogBuffer, type NumberedLine, type RunLogBufferOptions } from '@commons/backend/runs/log-buffer.js';
import type { LogLine } from '@commons/backend/lib/run-scope.js';

const line = (message: string, rest: Partial<LogLine> = {}): LogLine => ({ at: new Date(0), level: 'info', tag: 'TAG', message, data: undefined, ...rest });

/** A buffer whose writes are kept, and can be held up and made to fail. */
function controlled(options: Partial<RunLogBufferOptions> = {}) {
  const calls: (readonly NumberedLine[])[] = [];
  const stored = new Map<number, NumberedLine>();
  const state: { fault: Error | undefined; gate: Promise<unknown> } = { fault: undefined, gate: Promise.resolve() };
  const onError = jest.fn();
  const buffer = createRunLogBuffer({
    onError,
    async write(lines) {
      calls.push(lines);
      await state.gate;
      if (state.fault) throw state.fault;
      for (const each of lines) stored.set(each.seq, each);
    },
    ...options,
  });
  return { buffer, calls, stored, state, onError, messages: () => [...stored.values()].map(({ message }) => message) };
}

beforeEach(() => jest.useFakeTimers());
afterEach(() => jest.useRealTimers());

describe('createRunLogBuffer', () => {
  it('sets no timer and writes nothing for a run that logs nothing', async () => {
    const { buffer, calls } = controlled();
    await buffer.flush();
    expect(jest.getTimerCount()).toBe(0);
    expect(calls).toEqual([]);
  });

  it('writes what came within a second in one piece, numbered from 0 and in order', async () => {
    const { buffer, calls } = controlled();
    buffer.add(line('a'));
    await jest.advanceTimersByTimeAsync(900);
    buffer.add(line('b', { level: 'warn', data: '{"n":1}' }));
    expect(calls).toEqual([]);
    await jest.advanceTimersByTimeAsync(100);
    expect(calls).toEqual([[{ ...line('a'), seq: 0 }, { ...line('b', { level: 'warn', data: '{"n":1}' }), seq: 1 }]]);
    expect(jest.getTimerCount()).toBe(0);
  });

  it('writes all that waits before flush() resolves, and then needs no timer', async () => {
    const { buffer, messages } = controlled();
    buffer.add(line('a'));
    await buffer.flush();
    expect(messages()).toEqual(['a']);
    expect(jest.getTimerCount()).toBe(0);
  });

  it('has flush() wait for lines that came while a write was in flight', async () => {
    const { buffer, state, messages } = controlled();
    let letGo: (value: unknown) => void = () => undefined;
    state.gate = new Promise((resolve) => (letGo = resolve));
    buffer.add(line('a'));
    const first = buffer.flush();
    buffer.add(line('b'));
    const second = buffer.flush();
    letGo(undefined);
    await Promise.all([first, second]);
    expect(messages()).toEqual(['a', 'b']);
  });

  it('still writes lines that come after the end of the run', async () => {
    const { buffer, messages } = controlled();
    buffer.add(line('a'));
    await buffer.flush();
    buffer.add(line('late'));
    await jest.advanceTimersByTimeAsync(1_000);
    expect(messages()).toEqual(['a', 'late']);
  });

  it('keeps up to maxLines, and one more at the end that says how many were dropped', async () => {
    const { buffer, stored, messages } = controlled({ maxLines: 3 });
    for (let n = 0; n < 10; n++) buffer.add(line(`line ${n}`));
    await jest.advanceTimersByTimeAsync(1_000);
    expect(messages()).toEqual(['line 0', 'line 1', 'line 2']);
    await buffer.flush();
    expect(stored.get(3)).toMatchObject({ level: 'warn', message: '7 more lines were dropped: a run keeps 3.' });
    for (let n = 0; n < 10; n++) buffer.add(line('too late'));
    await buffer.flush();
    expect(stored.size).toBe(4);
  });

  it('says nothing of dropped lines when there were just maxLines', async () => {
    const { buffer, messages } = controlled({ maxLines: 2 });
    buffer.add(line('a'));
    buffer.add(line('b'));
    await buffer.flush();
    expect(messages()).toEqual(['a', 'b']);
  });

  it('writes many lines in several pieces', async () => {
    const { buffer, calls, stored } = controlled();
    for (let n = 0; n < 1_200; n++) buffer.add(line(`line ${n}`));
    await buffer.flush();
    expect(calls.map((lines) => lines.length)).toEqual([500, 500, 200]);
    expect([...stored.keys()]).toEqual(Array.from({ length: 1_200 }, (_, n) => n));
  });

  it('never rejects: what could not be written is tried again by the timer, and reported once', async () => {
    const { buffer, state, messages, onError } = controlled();
    state.fault = new Error('the database is away');
    buffer.add(line('a'));
    await buffer.flush();
    buffer.add(line('b'));
    await buffer.flush();
    await jest.advanceTimersByTimeAsync(5_000);
    expect(messages()).toEqual([]);
    state.fault = undefined;
    await jest.advanceTimersByTimeAsync(60_000);
    expect(messages()).toEqual(['a', 'b']);
    expect(onError.mock.calls).toEqual([[new Error('the database is away')]]);
  });

  it('bears a write that throws at once, and an onError that throws', async () => {
    const fail = () => {
      throw new Error('at once');
    };
    const { buffer } = controlled({ write: fail, onError: fail });
    buffer.add(line('a'));
    await expect(buffer.flush()).resolves.toBeUndefined();
  });

  it('gives up after some minutes of failures, says how many lines are lost, and goes on with later ones', async () => {
    const { buffer, state, messages, onError } = controlled();
    state.fault = new Error('refused');
    buffer.add(line('a'));
    await jest.advanceTimersByTimeAsync(600_000);
    expect(onError.mock.calls.map(([error]) => (error as Error).message)).toEqual(['refused', "1 lines of the run's log are lost: they could not be written."]);
    expect(jest.getTimerCount()).toBe(0);
    state.fault = undefined;
    buffer.add(line('b'));
    await buffer.flush();
    expect(messages()).toEqual(['b']);
  });

  it('keeps no more lines that wait than there is room for, says so once, and notes in the log how many are missing', async () => {
    const room = { bytesLeft: 300 };
    const { buffer, state, messages, onError } = controlled({ room });
    state.fault = new Error('the database is away');
    for (let n = 0; n < 10; n++) buffer.add(line(`line ${n}`));
    await buffer.flush();
    expect(onError.mock.calls.map(([error]) => (error as Error).message)).toEqual([
      "Lines of the run's log are dropped: the log cannot be written, and too many lines wait.", 'the database is away',
    ]);
    state.fault = undefined;
    await buffer.flush();
    expect(messages()).toEqual(['line 0', 'line 1', 'line 2', '7 lines before this one were dropped: the log could not be written, and too many lines waited.']);
    expect(room.bytesLeft).toBe(300);
  });

  it('keeps the message and the data of a line within its bytes together, clean, and the data JSON', async () => {
    const text = fc.array(fc.constantFrom('x'.repeat(50), '\0', '\ud800', 'é', '😀', '"', '\n'), { maxLength: 40 }).map((parts) => parts.join(''));
    await fc.assert(fc.asyncProperty(text, fc.option(text, { nil: undefined }), async (message, data) => {
      const { buffer, stored } = controlled({ maxLineBytes: 512 });
      buffer.add(line(message, { data: data === undefined ? undefined : JSON.stringify({ data }) }));
      await buffer.flush();
      const kept = stored.get(0)!;
      expect(Buffer.byteLength(kept.message) + Buffer.byteLength(kept.data ?? '')).toBeLessThanOrEqual(512);
      expect(kept.message + kept.data).not.toMatch(/\0|\\u0000|\p{Surrogate}|\\ud800/u);
      if (kept.data !== undefined) JSON.parse(kept.data);
    }));
  });

  it('leaves a line that fits as it is', async () => {
    const { buffer, stored } = controlled();
    const whole = line('m'.repeat(4_096), { data: JSON.stringify('d'.repeat(4_000)) });
    buffer.add(whole);
    await buffer.flush();
    expect(stored.get(0)).toEqual({ ...whole, seq: 0 });
  });
});
