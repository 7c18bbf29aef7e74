import { randomUUID } from 'node:crypto';
import type { JSONData } from '@commons/backend/jobs/helpers.js';
import { RunDatabase } from '@commons/backend/lib/run-knex/run-database.js';
import { type CurrentRun, type FailedItem, type LogLine, runInScope, type RunProgress, type RunScope } from '@commons/backend/lib/run-scope.js';

/** A run without a row: what the code inside it sees of a run, what it reported, and what it did with the database. */
export class TestRun implements CurrentRun, RunScope {
  readonly id: string;
  readonly jobName: string;
  readonly isDryRun: boolean;
  readonly attempt = 1;
  readonly deadline = new Date(Date.now() + 60_000);
  readonly controller = new AbortController();
  readonly signal = this.controller.signal;
  readonly onlyKeys = undefined;
  cursor: JSONData | undefined;
  readonly lines: LogLine[] = [];
  readonly reports: RunProgress[] = [];
  readonly failures: FailedItem[] = [];
  readonly database = new RunDatabase(this);

  constructor({ id = randomUUID(), jobName = 'my-job', isDryRun = false }: { id?: string; jobName?: string; isDryRun?: boolean } = {}) {
    this.id = id;
    this.jobName = jobName;
    this.isDryRun = isDryRun;
  }

  get run(): CurrentRun {
    return this;
  }

  keepLine(line: LogLine): void {
    this.lines.push(line);
  }

  progress(progress: RunProgress): void {
    this.reports.push(progress);
  }

  failure(item: FailedItem): void {
    this.failures.push(item);
  }

  async checkpoint(cursor: JSONData): Promise<void> {
    this.cursor = cursor;
  }

  /** Does `work` in this run, and ends the run as the lifecycle does. */
  async do<T>(work: () => T): Promise<Awaited<T>> {
    try {
      return await runInScope(this, async () => await work());
    } finally {
      await this.database.close();
    }
  }
}

export const inRun = <T>(work: () => T): Promise<Awaited<T>> => new TestRun().do(work);

export const inDryRun = <T>(work: () => T): Promise<Awaited<T>> => new TestRun({ isDryRun: true }).do(work);
