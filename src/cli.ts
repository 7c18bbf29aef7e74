import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { CommanderError } from 'commander';
import { createProgram } from './cli/program.js';
import { reserveStdout } from './cli/result-stream.js';
import { runToEnd } from './cli/run-to-end.js';
import { envConfig } from './lib/env-config.js';
import { loadEnvFile } from './lib/process/env-file.js';
import { requireOwnTree } from './lib/process/own-tree.js';
import type { SourceTree } from './lib/job-files/source-tree.js';

const source: SourceTree = {
  root: path.dirname(fileURLToPath(import.meta.url)),
  importFile: (file) => import(pathToFileURL(file).href),
};

/** The environment is checked before any module that reads it is loaded, and the log leaves stdout to the result. */
async function prepare(): Promise<void> {
  requireOwnTree(source.root, (specifier) => import.meta.resolve(specifier));
  loadEnvFile();
  envConfig();
  const { logToStderr } = await import('./lib/logging.js');
  logToStderr();
}

async function command(): Promise<void> {
  try {
    await createProgram(source, prepare).parseAsync();
  } catch (error) {
    // Commander has said it already; --help comes this way too, with 0.
    if (!(error instanceof CommanderError)) throw error;
    process.exitCode = error.exitCode;
  }
}

reserveStdout();
void runToEnd(command, async (error) => (await import('./cli/fault-text.js')).faultText(error));
