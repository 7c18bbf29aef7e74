import { mkdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { type BenchDatabase, openDatabase } from '../harness/bench-database.js';
import { inProject } from '../harness/paths.js';
import { ours, type ServerProcess, startServer } from '../harness/server-process.js';

/** A service that is tortured. */
export interface Target extends Omit<ServerProcess, 'ready'> {
  /** All that it has printed so far. */
  output(): string;
}

export interface TargetOptions {
  /** The folder of its jobs. */
  readonly jobs: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly nodeArgs?: readonly string[];
}

/** Where all of it happens: a folder and a database of its own. */
export interface Ground {
  readonly folder: string;
  readonly database: BenchDatabase;
  /** Starts the service as it is deployed, on this database; resolves when it is ready. */
  serve(options: TargetOptions): Promise<Target>;
  close(): Promise<void>;
}

/** The jobs that do no harm by themselves. */
export const JOBS = inProject('bench/torture/jobs');

export async function openGround(): Promise<Ground> {
  // Inside the project, so that job files in it find the package by its name.
  const folder = inProject(`.data/torture-${process.pid}`);
  mkdirSync(folder, { recursive: true });
  const database = await openDatabase(folder);
  return {
    folder,
    database,
    async serve({ jobs, env, nodeArgs = [] }) {
      const built = ours(folder, jobs, nodeArgs);
      const printed: Buffer[] = [];
      const server = await startServer({ ...built, env: { ...built.env, DEPLOYMENT: 'production', ...env }, onOutput: (text) => void printed.push(text) });
      await server.ready;
      return { ...server, output: () => Buffer.concat(printed).toString() };
    },
    async close() {
      await database.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Runs on record. */
export const countRuns = async (database: BenchDatabase): Promise<number> =>
  (await database.query<{ n: number }>('select count(*)::int as n from batch_job_run'))[0]!.n;

export const pathIn = (folder: string, ...parts: string[]): string => path.join(folder, ...parts);
