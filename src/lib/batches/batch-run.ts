import { type CurrentRun, tryCurrentRun } from '../run-scope.js';

/** What batches need of the run that they belong to. */
export type BatchRun = Pick<CurrentRun, 'isDryRun' | 'signal' | 'cursor' | 'onlyKeys' | 'progress' | 'checkpoint' | 'failure'>;

/** The run of the calling code, or undefined outside any run. */
export const currentBatchRun = (): BatchRun | undefined => tryCurrentRun();
