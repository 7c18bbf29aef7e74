import { setTimeout as delay } from 'node:timers/promises';
import { listenForInterruption } from '../lib/process/interruption.js';
import { flushOutput, note } from './result-stream.js';

/**
 * Runs the command, and ends the process with its exit code once all it wrote has gone out. Ctrl-C, SIGTERM and SIGHUP
 * ask active runs to stop, and they are on record as interrupted before the process ends with 128 + the signal's number;
 * a second one ends it at once.
 */
export async function runToEnd(command: () => Promise<void>, faultOf: (error: unknown) => Promise<string>): Promise<never> {
  const ending = { isEnded: false, code: undefined as number | undefined };
  process.on('exit', () => {
    if (ending.isEnded) return;
    // A job called process.exit(), perhaps with 0: no outcome was recorded.
    note('error: the process ended before the command did');
    process.exitCode = process.exitCode || 1;
  });
  const working = command().catch(async (error: unknown) => {
    note(await faultOf(error));
    process.exitCode = 1;
  });
  const interrupted = new Promise<void>((resolve) => {
    onInterruption((code) => {
      ending.code = code;
      void stopRuns(working).then(resolve, resolve);
    }, () => void (ending.isEnded = true));
  });
  await Promise.race([working, interrupted]);
  await flushOutput();
  ending.isEnded = true;
  process.exit(ending.code ?? process.exitCode);
}

function onInterruption(interrupt: (exitCode: number) => void, giveUp: () => void): void {
  listenForInterruption({ onFirst: (_signal, exitCode) => interrupt(exitCode), onSecond: giveUp });
  // As in the server: a promise that a job let go of harms nothing else, but after an uncaught exception nothing is sure.
  process.on('unhandledRejection', (error) => void logFault(error, 'a promise was rejected that nobody awaited'));
  process.on('uncaughtException', (error) => {
    void logFault(error, 'an exception that nobody caught: stopping');
    interrupt(1);
  });
}

async function logFault(error: unknown, text: string): Promise<void> {
  const { default: logger } = await import('../lib/logging.js');
  logger.error(error, { tag: 'cli', note: text });
}

/** ms that a command gets to end by itself, once no run is active. */
const LAST_WORDS = 2_000;

async function stopRuns(working: Promise<void>): Promise<void> {
  const [{ activeRuns, stopActiveRuns }, { envConfig }] = await Promise.all([import('../runs/active-runs.js'), import('../lib/env-config.js')]);
  const { shutdownGrace } = envConfig();
  if (activeRuns().size > 0) note(`Stopping: the run gets up to ${shutdownGrace / 1_000} s. Once more to exit at once.`);
  await stopActiveRuns(shutdownGrace);
  await Promise.race([working, delay(LAST_WORDS)]);
}
