import type { RunProgress } from '../run-scope.js';

const WINDOW_MS = 30_000;
/** Between two reports, and between two samples. */
const LEAST_INTERVAL_MS = 250;

interface Sample {
  readonly at: number;
  readonly processed: number;
}

/** What has been done so far. */
export interface Done {
  readonly processed: number;
  readonly succeeded: number;
  readonly failed: number;
}

/** How far the work is, how fast it goes, and how long it will take: by a clock that stands still while it pauses. */
export class BatchProgress {
  /** About how many there are. */
  total: number | undefined;
  readonly #report: (counts: RunProgress) => void;
  readonly #samples: Sample[];
  #done: Done;
  #reportedAt = -Infinity;
  #pausedAt: number | undefined;
  #pausedMs = 0;

  constructor(report: (counts: RunProgress) => void, start: Done) {
    this.#report = report;
    this.#done = start;
    this.#samples = [{ at: this.#now(), processed: start.processed }];
  }

  /** @param isLast it is reported even though the one before it was a moment ago */
  update(done: Done, isLast = false): void {
    this.#done = done;
    const now = this.#now();
    if (!isLast && now - this.#reportedAt < LEAST_INTERVAL_MS) return;
    this.#reportedAt = now;
    this.#sample(now);
    if (isLast) this.total = done.processed;
    this.#report(this.#counts());
  }

  pause(reason: string): void {
    this.#pausedAt ??= performance.now();
    this.#report({ ...this.#counts(), paused: reason });
  }

  goOn(): void {
    if (this.#pausedAt === undefined) return;
    this.#pausedMs += performance.now() - this.#pausedAt;
    this.#pausedAt = undefined;
    this.#report(this.#counts());
  }

  /** Milliseconds that were spent at work. */
  #now(): number {
    return (this.#pausedAt ?? performance.now()) - this.#pausedMs;
  }

  #sample(now: number): void {
    this.#samples.push({ at: now, processed: this.#done.processed });
    // The second one: the window's first sample is the last that is no younger than it.
    while (this.#samples.length > 2 && this.#samples[1]!.at <= now - WINDOW_MS) this.#samples.shift();
  }

  #counts(): RunProgress {
    const { processed, succeeded, failed } = this.#done;
    const first = this.#samples[0]!;
    const last = this.#samples.at(-1)!;
    const rate = last.at > first.at ? ((last.processed - first.processed) * 1_000) / (last.at - first.at) : undefined;
    // An estimate that has proven too small is none.
    const total = this.total !== undefined && this.total >= processed ? this.total : undefined;
    return {
      processed,
      succeeded,
      failed,
      ...(total !== undefined && { total }),
      ...(rate !== undefined && { rate: Math.round(rate * 10) / 10 }),
      ...(rate && total !== undefined && { etaSeconds: Math.ceil((total - processed) / rate) }),
    };
  }
}
