import { AsyncLocalStorage } from 'node:async_hooks';

/** The run that the calling code belongs to, as its job may see it. */
export interface CurrentRun {
  /** UUID v7; the run's row and GET /runs/<id>. */
  readonly id: string;
  readonly jobName: string;
  /** 1 for the first, one more for each time the same run was started again. */
  readonly attempt: number;
  readonly isDryRun: boolean;
  /** Aborted when the run should stop: its timeout, a cancellation, the service's own stop, a lost lease. */
  readonly signal: AbortSignal;
  /** When the run's timeout ends it. */
  readonly deadline: Date;
}

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

/** One line of a run's log. */
export interface LogLine {
  readonly at: Date;
  readonly level: LogLevel;
  readonly tag: string | undefined;
  readonly message: string;
  /** JSON text, or undefined where the call carried no data. */
  readonly data: string | undefined;
}

/** A run, and where the lines that are logged inside it go. */
export interface RunScope {
  readonly run: CurrentRun;
  /** The trace of the request that started the run (Google Cloud's, or W3C's), for the log. */
  readonly trace?: string | undefined;
  keepLine(line: LogLine): void;
}

const scopes = new AsyncLocalStorage<RunScope>();

/** Runs `work` inside `scope`: whatever it awaits, and whatever it leaves behind, belongs to that run. */
export const runInScope = <T>(scope: RunScope, work: () => T): T => scopes.run(scope, work);

/** The scope of the calling code, or undefined outside any run. For the service's own files; jobs ask currentRun(). */
export const tryRunScope = (): RunScope | undefined => scopes.getStore();

/** The run of the calling code, or undefined outside any run (a script, a test of a plain function). */
export const tryCurrentRun = (): CurrentRun | undefined => scopes.getStore()?.run;

/** The run of the calling code. @throws {Error} outside any run */
export function currentRun(): CurrentRun {
  const run = tryCurrentRun();
  if (!run) throw new Error('currentRun() was called outside a run; use tryCurrentRun() where there may be none');
  return run;
}
