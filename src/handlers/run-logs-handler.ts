import { once } from 'node:events';
import type { RequestHandler, Response } from 'express';
import { ServiceError } from '../lib/errors/service-error.js';
import { BatchJobRunLog, type LogPosition, type RunLogRow } from '../models/batch-job-run-log.js';
import { linkNext, runOf } from './run-handlers.js';

const PAGE = 1_000;

/**
 * GET /runs/:id/logs: what was logged inside the run, oldest first. As JSON page by page (`Link: <...>; rel="next"`); as
 * NDJSON (Accept: application/x-ndjson) all of it, a line each.
 */
export const runLogsHandler: RequestHandler = async (req, res) => {
  const { id } = await runOf(req);
  const after = readPosition(req.query.after);
  await new Promise<void>((resolve, reject) => {
    res.format({
      json: () => void sendPage(res, id, after).then(resolve, reject),
      'application/x-ndjson': () => void sendAll(res, id, after).then(resolve, reject),
      default: () => reject(new ServiceError(406, 'The log comes as application/json or application/x-ndjson.')),
    });
  });
};

async function sendPage(res: Response, id: string, after: LogPosition | undefined): Promise<void> {
  const lines = await BatchJobRunLog.listLines(id, { after, limit: PAGE });
  const last = lines.at(-1);
  if (lines.length === PAGE && last) linkNext(res, `/runs/${id}/logs?after=${positionOf(last)}`);
  res.json({ lines });
}

async function sendAll(res: Response, id: string, after: LogPosition | undefined): Promise<void> {
  res.type('application/x-ndjson');
  const gone = new AbortController();
  res.once('close', () => gone.abort());
  let position = after;
  for (;;) {
    const lines = await BatchJobRunLog.listLines(id, { after: position, limit: PAGE });
    position = lines.at(-1) ?? position;
    if (gone.signal.aborted) return;
    const hasRoom = lines.length === 0 || res.write(lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
    if (lines.length < PAGE) break;
    // A reader that is slower than the database must not have the whole log wait in memory.
    if (!hasRoom) await once(res, 'drain', { signal: gone.signal }).catch(() => undefined);
  }
  res.end();
}

const positionOf = ({ attempt, seq }: RunLogRow): string => `${attempt}.${seq}`;

/** @throws {ServiceError} 400 */
function readPosition(text: unknown): LogPosition | undefined {
  if (text === undefined) return undefined;
  const [, attempt, seq] = (typeof text === 'string' && /^(\d{1,6})\.(\d{1,9})$/.exec(text)) || [];
  if (attempt === undefined) {
    throw new ServiceError(400, 'The filter does not fit.', { errors: [{ path: 'after', message: 'takes attempt.seq of a line, such as 1.25' }] });
  }
  return { attempt: Number(attempt), seq: Number(seq) };
}
