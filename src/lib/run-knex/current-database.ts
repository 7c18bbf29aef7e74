import { runOutsideScope, tryRunScope } from '../run-scope.js';
import type { RunDatabase } from './run-database.js';

/** The database side of the calling code's run; undefined outside runs. */
export const currentDatabase = (): RunDatabase | undefined => tryRunScope()?.database;

export const outsideRuns = runOutsideScope;
