import path from 'node:path';
import type { ClientConfig } from 'pg';
import { envConfig } from '../env-config.js';
import type { JobFolder } from './registry.js';
import type { Migrations } from '../database/migration-turn.js';

/** Where the service's own files are, and how they are imported: src/*.ts in development and in tests, dist/*.js in production. */
export interface SourceTree {
  /** Absolute: the folder that holds `jobs` and `models`. */
  readonly root: string;
  /** Imports a file by its absolute path. The entry files provide it, since Node and Jest differ in it. */
  readonly importFile: (file: string) => Promise<unknown>;
}

/** The jobs: JOBS_FOLDER's, or those beside the service's own files. */
export function jobFolderOf({ root, importFile }: SourceTree): JobFolder {
  const { jobsFolder, jobLoadTimeout } = envConfig();
  return { folder: path.resolve(jobsFolder ?? path.join(root, 'jobs')), importFile, loadTimeoutMs: jobLoadTimeout };
}

export const migrationsFolderOf = ({ root }: SourceTree): string => path.join(root, 'models/migrations');

/** The migrations, for the database of that connection. */
export const migrationsOf = (source: SourceTree, connection: ClientConfig): Migrations => ({
  connection,
  folder: migrationsFolderOf(source),
  importFile: source.importFile,
});
