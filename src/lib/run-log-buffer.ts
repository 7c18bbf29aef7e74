import { attempt } from './attempt.js';
import type { LogLine } from './run-scope.js';
import { toStorableJson } from './storable-json.js';
import { toStorableText } from './storable-text.js';

/** A line and its place in the log of its run, counted from 0. */
export interface NumberedLine extends LogLine {
  readonly seq: number;
}

export interface RunLogBufferOptions {
  /** May be called with lines that it was called with before, when it failed. */
  write(lines: readonly NumberedLine[]): Promise<void>;
  /** Told of the first failure in a row, and of lines that are given up. */
  onError?(error: unknown): void;
  /** The most lines that a run keeps. */
  maxLines?: number;
  /** The most bytes of a line's message and data together. */
  maxLineBytes?: number;
  /** ms from a line to its being written. */
  flushEvery?: number;
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

const MOST_LINES_A_WRITE = 500;
const MOST_TAG_BYTES = 200;
const LONGEST_PAUSE_MS = 60_000;
/** With pauses that double from 1 s to a minute: some four minutes of a database that is away. */
const MOST_FAILURES = 9;

/** Buffers, caps and numbers the lines of one run. A run that logs nothing sets no timer. */
export const createRunLogBuffer = (options: RunLogBufferOptions): RunLogBuffer => new Buffered(options);

const DONE = Promise.resolve();

class Buffered implements RunLogBuffer {
  readonly #options: RunLogBufferOptions;
  readonly #maxLines: number;
  #waiting: NumberedLine[] = NOTHING;
  #count = 0;
  #dropped = 0;
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> | undefined;
  #failures = 0;

  constructor(options: RunLogBufferOptions) {
    this.#options = options;
    this.#maxLines = options.maxLines ?? 10_000;
  }

  add(line: LogLine): void {
    if (this.#count < this.#maxLines) this.#keep(line);
    else this.#dropped++;
  }

  flush(): Promise<void> {
    // Once: what is dropped after the run's end is not counted any more.
    if (this.#dropped > 0 && this.#count === this.#maxLines) this.#keep(this.#noteOfDropped());
    return this.#waiting.length === 0 ? DONE : this.#startWriting();
  }

  #keep(line: LogLine): void {
    if (this.#waiting === NOTHING) this.#waiting = [];
    this.#waiting.push({ ...bounded(line, this.#options.maxLineBytes ?? 8_192), seq: this.#count++ });
    this.#setTimer();
  }

  #noteOfDropped(): LogLine {
    const message = `${this.#dropped} more lines were dropped: a run keeps ${this.#maxLines}.`;
    return { at: new Date(), level: 'warn', tag: undefined, message, data: undefined };
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
      const lines = this.#waiting.slice(0, MOST_LINES_A_WRITE);
      try {
        await this.#options.write(lines);
      } catch (error) {
        this.#fail(error);
        break;
      }
      this.#failures = 0;
      this.#waiting.splice(0, lines.length);
    }
    this.#writing = undefined;
    if (this.#waiting.length > 0) this.#setTimer();
    else this.#waiting = NOTHING;
  }

  #fail(error: unknown): void {
    this.#failures++;
    if (this.#failures === 1) this.#report(error);
    if (this.#failures < MOST_FAILURES) return;
    this.#report(new Error(`${this.#waiting.length} lines of the run's log are lost: they could not be written.`, { cause: error }));
    this.#failures = 0;
    this.#waiting = NOTHING;
  }

  #report(error: unknown): void {
    attempt(() => this.#options.onError?.(error));
  }
}

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
