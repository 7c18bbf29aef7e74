import { ServiceError } from '../errors/service-error.js';

/** Smaller bodies are not counted. */
const LARGE_BYTES = 16_384;
/** Bytes of large bodies that are being read, or wait for their turn. */
const MOST_READ_BYTES = 67_108_864;
/**
 * Bytes of large bodies that were parsed and whose runs have not started. A megabyte of JSON may be twenty as values, and
 * its run's start makes several copies.
 */
const MOST_PARSED_BYTES = 1_048_576;
/** ms that a body waits for its turn. */
const LONGEST_WAIT_MS = 10_000;
const RETRY_AFTER_SECONDS = 5;

const tooMany = (): ServiceError =>
  new ServiceError(503, 'This process has too many large bodies to read at once. Send it again.', { retryAfterSeconds: RETRY_AFTER_SECONDS });

const NOTHING = (): void => undefined;

/** Calls `give` at the first call, and no more. */
function once(give: () => void): () => void {
  let isGiven = false;
  return () => {
    if (!isGiven) give();
    isGiven = true;
  };
}

let readBytes = 0;

/**
 * Takes room for a body of so many bytes before it is read.
 * @param most bytes of a single body (BODY_LIMIT); two of them always have room
 * @returns what gives the room back
 * @throws {ServiceError} 503 when there is none
 */
export function roomToRead(bytes: number, most: number): () => void {
  if (bytes <= LARGE_BYTES) return NOTHING;
  if (readBytes + bytes > Math.max(MOST_READ_BYTES, 2 * most)) throw tooMany();
  readBytes += bytes;
  return once(() => (readBytes -= bytes));
}

interface Waiting {
  readonly bytes: number;
  readonly enter: () => void;
}

let parsedBytes = 0;
const waiting: Waiting[] = [];

/**
 * Waits until a body of so many bytes may be parsed: in the order they come, and one at least, however large.
 * @returns what gives the room back; to be called once the run has started
 * @throws {ServiceError} 503 when that takes longer than 10 s; the signal's reason when it fires before
 */
export async function roomToParse(bytes: number, signal?: AbortSignal): Promise<() => void> {
  signal?.throwIfAborted();
  if (bytes <= LARGE_BYTES) return NOTHING;
  if (waiting.length > 0 || !hasRoom(bytes)) await untilRoom(bytes, signal);
  else parsedBytes += bytes;
  return once(() => {
    parsedBytes -= bytes;
    letIn();
  });
}

const hasRoom = (bytes: number): boolean => parsedBytes === 0 || parsedBytes + bytes <= MOST_PARSED_BYTES;

function untilRoom(bytes: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const leave = (reason: unknown): void => {
      stopWaiting();
      waiting.splice(waiting.indexOf(entry), 1);
      reject(reason as Error);
      letIn();
    };
    const onAbort = (): void => leave(signal?.reason);
    const stopWaiting = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
    };
    const entry = { bytes, enter: () => (stopWaiting(), resolve()) };
    const timer = setTimeout(() => leave(tooMany()), LONGEST_WAIT_MS);
    signal?.addEventListener('abort', onAbort);
    waiting.push(entry);
  });
}

function letIn(): void {
  for (let next = waiting[0]; next && hasRoom(next.bytes); next = waiting[0]) {
    waiting.shift();
    parsedBytes += next.bytes;
    next.enter();
  }
}

const rooms = new WeakMap<object, () => void>();

/** Remembers what gives back the room of a parsed body, for the code that starts its run. A body that is just a text or a number needs no room any more. */
export function keepRoom(body: unknown, give: () => void): void {
  if (typeof body === 'object' && body !== null) rooms.set(body, give);
  else give();
}

/** The run is started with `copy` in place of `body`. */
export function passRoom(body: object, copy: object): void {
  const give = rooms.get(body);
  if (give) rooms.set(copy, give);
}

/** The run of this body has started, or never will. */
export function giveRoomBack(body: unknown): void {
  if (typeof body === 'object' && body !== null) rooms.get(body)?.();
}
