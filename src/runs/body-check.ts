import type { ZodType } from 'zod';
import { envConfig } from '../lib/env-config.js';
import { inTurn } from '../lib/process/loop-turns.js';
import { bodyDoesNotFit, parseBody } from './parse-body.js';
import type { Scrubber } from '../lib/personal-data/scrubber.js';
import { DryRunWrite } from '../lib/run-knex/errors.js';
import { RunDatabase } from '../lib/run-knex/run-database.js';
import { type CurrentRun, type LogLine, runInScope, type RunScope } from '../lib/run-scope.js';
import { ServiceError } from '../lib/errors/service-error.js';

/** The rest is in the service's log alone. */
const MOST_LINES = 1_000;

const WROTE = "The job's RequestBody tried to write while it checked the body. That is refused, since the run is not on record yet: let the job write, not its RequestBody.";

/** The run whose body is checked. */
export interface CheckedRun {
  readonly id: string;
  readonly jobName: string;
  readonly trace: string | undefined;
  /** Keeps the personal data of the body out of what the check logs. */
  readonly scrubber: Scrubber | undefined;
}

/**
 * The scope of a body's check, which comes before the run is on record. A RequestBody may hold code of the author's
 * (refinements, transforms) that asks the database and logs. It gets a database that it cannot write to, its lines lose the
 * body's personal data like the run's own, and what it leaves behind can use the database no more.
 */
export class BodyCheck implements CurrentRun, RunScope {
  readonly id: string;
  readonly jobName: string;
  readonly attempt = 1;
  /** True for a real run too: the run has no row yet, so a write now would be on no record. */
  readonly isDryRun = true;
  readonly whyNoRuns = "A RequestBody checks the body before the run begins, so it can start no runs: let the job start them.";
  readonly cursor = undefined;
  readonly onlyKeys = undefined;
  readonly trace: string | undefined;
  readonly scrubber: Scrubber | undefined;
  /** What was logged, for the run's own log. */
  readonly lines: LogLine[] = [];
  readonly #timeoutMs: number;
  #startedAt = Date.now();
  #database: RunDatabase | undefined;
  #controller: AbortController | undefined;
  #endReason: ServiceError | undefined;

  /** @param timeoutMs how long the check may take */
  constructor({ id, jobName, trace, scrubber }: CheckedRun, timeoutMs = envConfig().jobLoadTimeout) {
    this.#timeoutMs = timeoutMs;
    this.id = id;
    this.jobName = jobName;
    this.trace = trace;
    this.scrubber = scrubber;
  }

  get run(): CurrentRun {
    return this;
  }

  get deadline(): Date {
    return new Date(this.#startedAt + this.#timeoutMs);
  }

  get signal(): AbortSignal {
    this.#controller ??= new AbortController();
    if (this.#endReason && !this.#controller.signal.aborted) this.#controller.abort(this.#endReason);
    return this.#controller.signal;
  }

  get database(): RunDatabase {
    return (this.#database ??= new RunDatabase(this));
  }

  keepLine(line: LogLine): void {
    if (this.lines.length < MOST_LINES) this.lines.push(line);
  }

  progress(): never {
    throw new Error(NO_RUN_YET);
  }

  failure(): never {
    throw new Error(NO_RUN_YET);
  }

  checkpoint(): Promise<never> {
    return Promise.reject(new Error(NO_RUN_YET));
  }

  /**
   * The body as the job will see it, defaults filled in.
   * @throws {ServiceError} 400 with every issue and its path, 504 when the check takes longer than JOB_LOAD_TIMEOUT, 500 when it writes; else
   * whatever the schema's own code throws
   */
  async parse(RequestBody: ZodType, body: unknown): Promise<unknown> {
    try {
      // Its time begins with its turn.
      const result = await inTurn(() => this.#inTime(() => parseBody(RequestBody, body)));
      if ('data' in result) return result.data;
      throw bodyDoesNotFit(result);
    } catch (error) {
      throw error instanceof DryRunWrite ? new ServiceError(500, WROTE, { cause: error }) : error;
    } finally {
      await this.#end(new ServiceError(500, 'The check of the body is over.'));
    }
  }

  /** A schema may ask others (an async refinement), and wait for ever. */
  #inTime<T>(check: () => Promise<T>): Promise<T> {
    this.#startedAt = Date.now();
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        const tooLong = new ServiceError(504, `The job's RequestBody did not check the body in ${this.#timeoutMs / 1_000} s.`);
        reject(tooLong);
        void this.#end(tooLong);
      }, this.#timeoutMs);
      runInScope(this, check).then(resolve, reject).finally(() => clearTimeout(timer));
    });
  }

  /** Ends what the check has left behind: its queries, its waiting for others. Never rejects. */
  async #end(reason: ServiceError): Promise<void> {
    this.#endReason ??= reason;
    this.#controller?.abort(this.#endReason);
    await this.#database?.close();
  }
}

const NO_RUN_YET = 'A RequestBody checks the body before the run begins: report progress, failures and checkpoints from the job itself.';
