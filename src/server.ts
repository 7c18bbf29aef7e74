import { stat } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { EnvConfigError, envConfig } from './lib/env-config.js';
import { loadEnvFile } from './lib/process/env-file.js';
import { listenForInterruption } from './lib/process/interruption.js';
import { requireOwnTree } from './lib/process/own-tree.js';
import type { SourceTree } from './lib/job-files/source-tree.js';

const TAG = 'server';

/** `--live` is development: a job that is edited, added, repaired or deleted is so at its next call. */
const isLive = process.argv.includes('--live');

const source: SourceTree = {
  root: path.dirname(fileURLToPath(import.meta.url)),
  async importFile(file) {
    const { href } = pathToFileURL(file);
    // A module is imported once for each address, so a changed file needs a new one.
    return import(isLive ? `${href}?v=${(await stat(file)).mtimeMs}` : href);
  },
};

/** ms that stopping may take beyond the runs' grace: recording outcomes, closing the database. */
const LAST_WORDS = 10_000;

async function main(): Promise<void> {
  requireOwnTree(source.root, (specifier) => import.meta.resolve(specifier));
  loadEnvFile();
  const { deployment, shutdownGrace } = envConfig();
  // Only now: some modules read the environment as they are loaded, and it was not checked before.
  const [{ startService }, { default: logger }, { runOutsideScope }] = await Promise.all([import('./service.js'), import('./lib/logging.js'), import('./lib/run-scope.js')]);
  const service = await startService(source, { isLive });

  let stopping: Promise<void> | undefined;
  let exitCode = 0;
  const stopService = async (why: string): Promise<void> => {
    logger.log(`Stopping (${why}): active runs get up to ${shutdownGrace / 1_000} s`, TAG);
    setTimeout(() => {
      logger.error(new Error('Stopping took too long: exiting'), { tag: TAG });
      process.exit(1);
    }, shutdownGrace + LAST_WORDS).unref();
    try {
      await service.stop();
    } catch (error) {
      exitCode = 1;
      logger.error(error, { tag: TAG, note: 'stopping did not go in order' });
    }
    process.exit(exitCode);
  };
  // A signal and an exception may both come: it stops once, and the exit code tells the worse.
  const stop = (why: string, code: number): void => {
    exitCode = Math.max(exitCode, code);
    // An exception comes in the context of the job that threw it, and the stop is no part of its run.
    stopping ??= runOutsideScope(() => stopService(why));
  };
  listenForInterruption({ onFirst: (signal) => stop(signal, 0) });
  // A promise that a job let go of harms nobody else. Node gives the handler that job's context, so the line is the run's.
  process.on('unhandledRejection', (error) => logger.error(error, { tag: TAG, note: 'a promise was rejected that nobody awaited' }));
  // After an exception that nobody caught nothing is sure, so it stops, in order.
  process.on('uncaughtException', (error) => {
    logger.error(error, { tag: TAG, note: 'nobody caught this exception' });
    stop('an exception that nobody caught', 1);
  });

  logger.log(`Listening on ${service.url}`, TAG, { startedInMs: Math.round(performance.now()) });
  if (!(await service.ready)) return;
  logger.log('Ready', TAG, { readyInMs: Math.round(performance.now()) });
  if (deployment === 'local') {
    process.stdout.write(`\n  ${service.url}\n\n  curl -X POST ${service.url}/jobs/cache-zip-codes -H 'Content-Type: application/json' -d '{}'\n\n`);
  }
}

main().catch((error: unknown) => {
  console.error(error instanceof EnvConfigError ? error.message : error);
  process.exit(1);
});
