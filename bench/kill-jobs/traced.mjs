import { appendFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import logger from '@commons/backend/lib/logging.js';

/**
 * Works for `ms`, and writes down in the file `trace` that it began and ended. What was written is the kernel's, and
 * survives the process, so the file says what really ran, whatever the database says.
 */
export default async ({ body: { key, ms, fails, trace } }) => {
  appendFileSync(trace, `began ${key}\n`);
  logger.log(`Working for ${ms} ms`, 'traced', { key });
  if (ms > 0) await delay(ms);
  appendFileSync(trace, `ended ${key}\n`);
  if (fails) throw new Error('told to fail');
  return { key };
};
