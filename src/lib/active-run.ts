import type { RunLogBuffer } from './run-log-buffer.js';
import type { CurrentRun, LogLine, RunScope } from './run-scope.js';

/** What an active run starts with. */
export interface ActiveRunStart {
  readonly id: string;
  readonly attempt: number;
  readonly jobName: string;
  readonly isDryRun: boolean;
  readonly timeoutMs: number;
  readonly trace: string | undefined;
  /** Called at the run's first line. */
  readonly openLog: (run: CurrentRun) => RunLogBuffer;
}

/**
 * A run that is going in this process: what its job sees of it, where its log goes, how it is told to stop, and how its
 * caller is freed when it does not. One is made for every run, so what few runs need is made when it is asked for.
 */
export class ActiveRun implements CurrentRun, RunScope {
  readonly id: string;
  readonly attempt: number;
  readonly jobName: string;
  readonly isDryRun: boolean;
  readonly timeoutMs: number;
  readonly trace: string | undefined;
  /** performance.now() until which the database takes this process for alive. */
  leaseUntil = 0;
  /** It was given up on: how its work settles later changes nothing. */
  hasGivenUp = false;
  readonly #startedAt = Date.now();
  readonly #openLog: ActiveRunStart['openLog'];
  #log: RunLogBuffer | undefined;
  #controller: AbortController | undefined;
  #stopReason: Error | undefined;
  #giveUp: ((reason: Error) => void) | undefined;

  constructor(start: ActiveRunStart) {
    this.id = start.id;
    this.attempt = start.attempt;
    this.jobName = start.jobName;
    this.isDryRun = start.isDryRun;
    this.timeoutMs = start.timeoutMs;
    this.trace = start.trace;
    this.#openLog = start.openLog;
  }

  /** As a scope, its run is itself. */
  get run(): CurrentRun {
    return this;
  }

  get deadline(): Date {
    return new Date(this.#startedAt + this.timeoutMs);
  }

  get signal(): AbortSignal {
    if (!this.#controller) {
      this.#controller = new AbortController();
      if (this.#stopReason) this.#controller.abort(this.#stopReason);
    }
    return this.#controller.signal;
  }

  keepLine(line: LogLine): void {
    this.#log ??= this.#openLog(this);
    this.#log.add(line);
  }

  /** Undefined for a run that has logged nothing. */
  get log(): RunLogBuffer | undefined {
    return this.#log;
  }

  /** Asks the job to stop: its signal fires, with `reason`. Whoever waits for the job goes on waiting. */
  askToStop(reason: Error): void {
    if (this.#stopReason) return;
    this.#stopReason = reason;
    this.#controller?.abort(reason);
  }

  /** Stops waiting for the job: untilSettled rejects with `reason`, which becomes the run's outcome. */
  giveUp(reason: Error): void {
    this.hasGivenUp = true;
    this.askToStop(reason);
    this.#giveUp?.(reason);
  }

  /**
   * Settles as `work` does, or rejects as soon as giveUp is called.
   * @param late hears how `work` settled once that changes nothing any more
   */
  untilSettled<T>(work: Promise<T>, late: (thrown?: unknown) => void): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#giveUp = reject;
      work.then(
        (value) => (this.hasGivenUp ? late() : resolve(value)),
        (thrown: unknown) => (this.hasGivenUp ? late(thrown) : reject(thrown)),
      );
    });
  }

  /**
   * What `thrown` by the job means: the reason it was asked to stop, when it is the AbortError that Node's own functions
   * make of a signal that fired; else itself.
   */
  meaningOf(thrown: unknown): unknown {
    return this.#stopReason && isAbortError(thrown) ? this.#stopReason : thrown;
  }
}

function isAbortError(thrown: unknown): boolean {
  try {
    return thrown instanceof Error && thrown.name === 'AbortError';
  } catch {
    return false; // A Proxy that throws when it is looked at.
  }
}
