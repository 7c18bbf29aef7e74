import { setTimeout as delay } from 'node:timers/promises';
import { orUndefined } from '../lib/errors/or-undefined.js';
import { pieceLength } from '../lib/database/piece-length.js';
import type { LogLine } from '../lib/run-scope.js';
import { bytesOfLine, type NumberedLine } from './records/log-lines.js';
import { toStorableJson } from '../lib/json/storable-json.js';
import { toStorableText } from '../lib/text/storable-text.js';

export interface RunLogBufferOptions {
  /** May be called with lines that it was called with before, when it failed. */
  write(lines: readonly NumberedLine[]): Promise<void>;
  /** Told of the first failure in a row. */
  onError?(error: unknown): void;
  /** Told of lines that are given up; default: onError. */
  onLoss?(error: unknown): void;
  /** The most lines that a run keeps. */
  maxLines?: number;
  /** The most bytes of a line's message and data together. */
  maxLineBytes?: number;
  /** ms from a line to its being written. */
  flushEvery?: number;
  /** What it shares with the buffers of other runs; default: without bound. */
  room?: LogRoom;
}

/** The memory that lines may take which are not written yet, shared by many runs: a log that cannot be written must not fill it. */
export interface LogRoom {
  bytesLeft: number;
}

/** The lines of a run's log on their way to the database. */
export interface RunLogBuffer {
  /** Never throws. */
  add(line: LogLine): void;
  /**
   * Resolves once every line added before it is written, or could not be. Never rejects. For the run's end: it also adds the
   * line that says how many were dropped. Lines that come later, and those that failed, are written by the timer.
   */
  flush(): Promise<void>;
}

/** Two such pieces go in one statement (lib/database/piece-length.ts). */
const PIECE = { mostItems: 500, mostBytes: 65_536, bytesOf: bytesOfLine };
const MOST_TAG_BYTES = 200;
const LONGEST_PAUSE_MS = 60_000;
/** With pauses that double from 1 s to a minute: some four minutes of a database that is away. */
const MOST_FAILURES = 9;

/** Buffers, caps and numbers the lines of one run. A run that logs nothing sets no timer. */
export const createRunLogBuffer = (options: RunLogBufferOptions): RunLogBuffer => new Buffered(options);

const DONE = Promise.resolve();

/** Those with lines that are not written yet. */
const unwritten = new Set<Buffered>();

/** Writes the lines of all runs that wait, for up to `ms`; for a process that ends. Never rejects. @returns how many are left unwritten */
export async function flushRunLogs(ms: number): Promise<number> {
  const late = Symbol('late');
  const until = performance.now() + ms;
  while (unwritten.size > 0 && performance.now() < until) {
    const written = Promise.all([...unwritten].map((buffer) => buffer.flush()));
    const timer = new AbortController();
    const winner = await Promise.race([written, delay(until - performance.now(), late, { signal: timer.signal, ref: false }).catch(() => late)]);
    timer.abort();
    // What failed is tried again, and not as fast as it fails.
    if (winner !== late && unwritten.size > 0) await delay(Math.min(PAUSE_MS, Math.max(0, until - performance.now())));
  }
  return [...unwritten].reduce((lines, { unwrittenLines }) => lines + unwrittenLines, 0);
}

/** ms */
const PAUSE_MS = 200;

class Buffered implements RunLogBuffer {
  readonly #options: RunLogBufferOptions;
  readonly #maxLines: number;
  #waiting: NumberedLine[] = NOTHING;
  #count = 0;
  #dropped = 0;
  /** Lines for which there was no room. */
  #lost = 0;
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> | undefined;
  #failures = 0;

  constructor(options: RunLogBufferOptions) {
    this.#options = options;
    this.#maxLines = options.maxLines ?? 10_000;
  }

  add(line: LogLine): void {
    if (this.#count >= this.#maxLines) this.#dropped++;
    else if ((this.#options.room?.bytesLeft ?? Infinity) > 0) this.#keep(line);
    else this.#lose();
  }

  get unwrittenLines(): number {
    return this.#waiting.length + this.#lost;
  }

  flush(): Promise<void> {
    // Once: what is dropped after the run's end is not counted any more.
    if (this.#dropped > 0 && this.#count === this.#maxLines) this.#keep(note(`${this.#dropped} more lines were dropped: a run keeps ${this.#maxLines}.`));
    if (this.#lost > 0) this.#keep(note(`${this.#lost} lines before this one were dropped: the log could not be written, and too many lines waited.`));
    this.#lost = 0;
    return this.#waiting.length === 0 ? DONE : this.#startWriting();
  }

  #keep(line: LogLine): void {
    if (this.#waiting === NOTHING) this.#waiting = [];
    const kept = { ...bounded(line, this.#options.maxLineBytes ?? 8_192), seq: this.#count++ };
    this.#waiting.push(kept);
    unwritten.add(this);
    if (this.#options.room) this.#options.room.bytesLeft -= bytesOfLine(kept);
    this.#setTimer();
  }

  #lose(): void {
    if (this.#lost++ === 0) this.#reportLoss(new Error("Lines of the run's log are dropped: the log cannot be written, and too many lines wait."));
    this.#setTimer();
  }

  /** Written, or given up. */
  #forget(lines: readonly NumberedLine[]): void {
    if (lines.length === this.#waiting.length) this.#waiting = NOTHING;
    else this.#waiting.splice(0, lines.length);
    if (this.#waiting.length === 0) unwritten.delete(this);
    if (this.#options.room) this.#options.room.bytesLeft += lines.reduce((bytes, line) => bytes + bytesOfLine(line), 0);
  }

  #setTimer(): void {
    if (this.#timer || this.#writing) return;
    const pause = Math.min((this.#options.flushEvery ?? 1_000) * 2 ** this.#failures, LONGEST_PAUSE_MS);
    this.#timer = setTimeout(() => void this.#startWriting(), pause);
    this.#timer.unref();
  }

  #startWriting(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    return (this.#writing ??= this.#writeAll());
  }

  /** Never rejects. Lines that are added while it writes are written too. */
  async #writeAll(): Promise<void> {
    while (this.#waiting.length > 0) {
      const lines = this.#waiting.slice(0, pieceLength(this.#waiting, PIECE));
      try {
        await this.#options.write(lines);
      } catch (error) {
        this.#fail(error);
        break;
      }
      this.#failures = 0;
      this.#forget(lines);
    }
    this.#writing = undefined;
    if (this.#waiting.length > 0) this.#setTimer();
  }

  #fail(error: unknown): void {
    this.#failures++;
    if (this.#failures === 1) this.#report(error);
    if (this.#failures < MOST_FAILURES) return;
    this.#reportLoss(new Error(`${this.#waiting.length} lines of the run's log are lost: they could not be written.`, { cause: error }));
    this.#failures = 0;
    this.#forget(this.#waiting);
  }

  #report(error: unknown): void {
    orUndefined(() => this.#options.onError?.(error));
  }

  #reportLoss(error: Error): void {
    if (this.#options.onLoss) orUndefined(() => this.#options.onLoss?.(error));
    else this.#report(error);
  }
}

/** A line of the service's own in the log of a run. */
const note = (message: string): LogLine => ({ at: new Date(), level: 'warn', tag: undefined, message, data: undefined });

/** Shared by all that wait for nothing, and never filled. */
const NOTHING: NumberedLine[] = [];

/** The line with its texts clean, the message and the data sharing the room. */
function bounded({ at, level, tag, message, data }: LogLine, maxBytes: number): LogLine {
  const dataBytes = data === undefined ? 0 : Buffer.byteLength(data);
  const text = toStorableText(message, Math.max(maxBytes - dataBytes, Math.floor(maxBytes / 2)));
  return {
    at,
    level,
    tag: tag === undefined ? undefined : toStorableText(tag, MOST_TAG_BYTES),
    message: text,
    data: data === undefined ? undefined : toStorableJson(data, maxBytes - Buffer.byteLength(text)),
  };
}
