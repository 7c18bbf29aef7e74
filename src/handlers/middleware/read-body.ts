import express, { type Request, type RequestHandler } from 'express';
import { keepRoom, roomToParse, roomToRead } from '../../lib/process/body-room.js';
import { inTurn } from '../../lib/process/loop-turns.js';
import { parseJson } from '../../lib/json/parse-json.js';
import { ServiceError } from '../../lib/errors/service-error.js';

/** The body's bytes, as they came; parsed by withBody. */
const received = new WeakMap<Request, Buffer>();

/**
 * Reads the bytes of a run's body. What they say is found out by withBody.
 * @param limit bytes, after decompression
 */
export function readBody(limit: number): RequestHandler {
  const readBytes = express.raw({ type: () => true, limit });
  return (req, res, next) => {
    const giveRoom = roomToRead(announcedBytes(req, limit), limit);
    res.once('close', giveRoom);
    readBytes(req, res, (error?: unknown) => {
      if (error) return next(refusalOf(error, limit));
      // The body parser passes over a body whose caller hung up before it was read, without an error: it would be taken for none.
      if (announcesBody(req) && !(Buffer.isBuffer(req.body) && req.complete)) return next(new ServiceError(400, 'The body could not be read: its caller hung up before it was there.'));
      if (Buffer.isBuffer(req.body)) received.set(req, req.body);
      req.body = undefined;
      rooms.set(req, giveRoom);
      next();
    });
  };
}

const rooms = new WeakMap<Request, () => void>();

const announcesBody = ({ headers }: Request): boolean => headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;

/** What it may become: the limit where that is not said, or is said of compressed bytes. */
function announcedBytes({ headers }: Request, limit: number): number {
  const length = headers['content-length'];
  if (length === undefined) return headers['transfer-encoding'] === undefined ? 0 : limit;
  const isPlain = headers['content-encoding'] === undefined || headers['content-encoding'] === 'identity';
  return isPlain ? Math.min(Number(length), limit) : limit;
}

/** Waits until a large body may be parsed. A caller that hangs up meanwhile gives up its turn. */
export const awaitTurn: RequestHandler = async (req, res, next) => {
  const leaving = new AbortController();
  const hangUp = (): void => leaving.abort(new ServiceError(400, 'The caller hung up before its body was looked at.'));
  res.once('close', hangUp);
  try {
    if (res.closed) hangUp();
    const give = await roomToParse(received.get(req)?.length ?? 0, leaving.signal);
    turns.set(req, give);
    // Whatever becomes of the request, such as a refusal before the body is parsed.
    res.once('close', give);
  } catch (error) {
    received.delete(req);
    throw error;
  } finally {
    res.off('close', hangUp);
  }
  next();
};

/** What gives back the room of a body whose turn it is. */
const turns = new WeakMap<Request, () => void>();

/**
 * Makes `req.body` of the bytes that readBody has read: JSON, whether it is called that or application/octet-stream (which is
 * what Google Cloud Scheduler calls every body unless told otherwise:
 * https://cloud.google.com/scheduler/docs/reference/rest/v1/projects.locations.jobs#HttpTarget). No body at all is `{}`.
 * Large bodies are parsed, and their handlers begin, one after another, with turns of the event loop in between.
 */
export const withBody =
  (handler: RequestHandler): RequestHandler =>
  async (req, res, next) => {
    const bytes = received.get(req);
    const giveParsedRoom = turns.get(req)!;
    try {
      await inTurn(() => {
        received.delete(req);
        rooms.get(req)?.();
        const body = bodyOf(bytes, req.headers['content-type']);
        req.body = body;
        keepRoom(body, giveParsedRoom);
        return handler(req, res, next);
      });
    } finally {
      giveParsedRoom();
    }
  };

function bodyOf(bytes: Buffer | undefined, contentType: string | undefined): unknown {
  if (!bytes || bytes.length === 0) return {};
  refuseOtherTypes(contentType);
  return parseJson(textOf(bytes));
}

/** A byte order mark is left to the parser, which refuses it. */
const UTF_8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** @throws {ServiceError} 400: with U+FFFD in place of what is no UTF-8, the job would get another value than was sent */
function textOf(bytes: Buffer): string {
  try {
    return UTF_8.decode(bytes);
  } catch {
    throw new ServiceError(400, 'The body is not valid UTF-8.');
  }
}

const JSON_TYPE = /^application\/(json|octet-stream|[a-z0-9.+-]+\+json)$/;

function refuseOtherTypes(contentType: string | undefined): void {
  if (contentType === undefined || contentType === 'application/json') return;
  const [type = '', ...parameters] = contentType.toLowerCase().split(';').map((part) => part.trim());
  if (!JSON_TYPE.test(type)) throw new ServiceError(415, 'The body must be JSON, and its Content-Type must say so. With curl: -H \'Content-Type: application/json\' beside -d, which says application/x-www-form-urlencoded by itself.');
  const charset = parameters.find((parameter) => parameter.startsWith('charset='))?.slice('charset='.length).replaceAll('"', '');
  if (charset !== undefined && charset !== 'utf-8' && charset !== 'utf8') throw new ServiceError(415, 'The body must be encoded as UTF-8.');
}

/** The body parser's error in our words: its own may quote the request. */
function refusalOf(error: unknown, limit: number): ServiceError {
  const { status, type } = error as { status?: number; type?: string };
  if (status === 413) return new ServiceError(413, `The body is over the limit of ${limit} bytes (BODY_LIMIT).`);
  if (type === 'encoding.unsupported') return new ServiceError(415, 'The Content-Encoding must be gzip, deflate, br or identity.');
  return new ServiceError(400, 'The body could not be read: it was cut off, or is not what its headers say.', { cause: error });
}
