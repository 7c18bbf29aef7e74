import type { Knex } from 'knex';
import type { JSONData } from '../../jobs/helpers.js';
import { type CurrentRun, tryCurrentRun } from '../run-scope.js';

/** What batches need of the run that they belong to. */
export interface BatchRun extends Pick<CurrentRun, 'isDryRun' | 'signal' | 'cursor' | 'onlyKeys' | 'progress' | 'failure'> {
  /** @param redone keys of failed items, reported since the last checkpoint, that are not behind this cursor: a resumed run does them again */
  checkpoint(cursor: JSONData, trx?: Knex.Transaction, redone?: readonly JSONData[]): Promise<void>;
}

/** The run of the calling code, or undefined outside any run. */
export const currentBatchRun = (): BatchRun | undefined => tryCurrentRun();
