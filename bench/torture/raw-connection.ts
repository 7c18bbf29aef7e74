import net from 'node:net';

/** An answer as it came over the wire. */
export interface RawAnswer {
  readonly status: number;
  /** Names in lower case; of a repeated one, the last. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

export interface AskOptions {
  /** What is asked is a HEAD: the answer announces a body and has none. */
  readonly isHead?: boolean;
  /** Closes the sending side behind the text, in the midst of whatever it promised. */
  readonly hangUp?: boolean;
}

/** ms. Only a service that does not answer at all takes that long. */
const PATIENCE = 60_000;

/**
 * A connection on which anything can be sent: Node's own client, and every other that is well behaved, refuses to send half of
 * what hostile callers do. It is kept alive, and opened anew when the service closes it.
 */
export class RawConnection {
  readonly #port: number;
  readonly #host: string;
  #socket: net.Socket | undefined;
  #received: Buffer = Buffer.alloc(0);
  #pending: { resolve: (answer: RawAnswer | undefined) => void; isHead: boolean } | undefined;

  constructor(url: string) {
    const { hostname, port } = new URL(url);
    this.#host = hostname;
    this.#port = Number(port);
  }

  /** Sends `request` as it is. @returns the first answer to it, undefined when the service closed without one @throws {Error} after a minute of silence */
  ask(request: string | Buffer, { isHead = false, hangUp = false }: AskOptions = {}): Promise<RawAnswer | undefined> {
    const socket = this.#open();
    this.#received = Buffer.alloc(0);
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#pending = undefined;
        this.close();
        reject(new Error(`no answer in ${PATIENCE} ms to ${Buffer.from(request).toString('latin1', 0, 200)}`));
      }, PATIENCE);
      const settle = (answer: RawAnswer | undefined) => {
        clearTimeout(timer);
        this.#pending = undefined;
        if (answer === undefined || hangUp || answer.headers.connection === 'close') this.close();
        resolve(answer);
      };
      this.#pending = { resolve: settle, isHead };
      // One byte a character: what is to be UTF-8 comes as bytes.
      if (hangUp) socket.end(request, 'latin1');
      else socket.write(request, 'latin1');
    });
  }

  close(): void {
    this.#socket?.destroy();
    this.#socket = undefined;
  }

  #open(): net.Socket {
    if (this.#socket && !this.#socket.destroyed && this.#socket.writable) return this.#socket;
    const socket = net.connect({ port: this.#port, host: this.#host, noDelay: true });
    this.#socket = socket;
    socket.on('data', (part: Buffer) => {
      if (this.#socket !== socket) return;
      this.#received = this.#received.length === 0 ? part : Buffer.concat([this.#received, part]);
      this.#look(false);
    });
    socket.on('error', () => undefined); // 'close' follows.
    socket.on('close', () => {
      if (this.#socket === socket) this.#look(true);
    });
    return socket;
  }

  #look(isClosed: boolean): void {
    const pending = this.#pending;
    if (!pending) return;
    const answer = readAnswer(this.#received, pending.isHead, isClosed);
    if (answer || isClosed) pending.resolve(answer);
  }
}

/** The answer at the front of `bytes`, or undefined while it is not whole. */
function readAnswer(bytes: Buffer, isHead: boolean, isClosed: boolean): RawAnswer | undefined {
  const headEnd = bytes.indexOf('\r\n\r\n');
  if (headEnd < 0) return undefined;
  const [statusLine = '', ...lines] = bytes.subarray(0, headEnd).toString('latin1').split('\r\n');
  const status = Number(statusLine.split(' ')[1]);
  const rest = bytes.subarray(headEnd + 4);
  if (status === 100) return readAnswer(rest, isHead, isClosed);
  const headers = Object.fromEntries(lines.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()]));
  const body = isHead || status === 204 || status === 304 ? '' : readBody(rest, headers, isClosed);
  return body === undefined ? undefined : { status, headers, body };
}

function readBody(bytes: Buffer, headers: Readonly<Record<string, string>>, isClosed: boolean): string | undefined {
  if (headers['transfer-encoding'] === 'chunked') return readChunks(bytes);
  const length = headers['content-length'];
  if (length === undefined) return isClosed || headers.connection !== 'close' ? bytes.toString() : undefined;
  return bytes.length >= Number(length) ? bytes.subarray(0, Number(length)).toString() : undefined;
}

function readChunks(bytes: Buffer): string | undefined {
  const parts: Buffer[] = [];
  for (let at = 0; ; ) {
    const lineEnd = bytes.indexOf('\r\n', at);
    if (lineEnd < 0) return undefined;
    const size = Number.parseInt(bytes.subarray(at, lineEnd).toString('latin1'), 16);
    const start = lineEnd + 2;
    if (bytes.length < start + size + 2) return undefined;
    if (size === 0) return Buffer.concat(parts).toString();
    parts.push(bytes.subarray(start, start + size));
    at = start + size + 2;
  }
}

/** Does `each` for 0 to count - 1, over so many connections, each of which takes the next number when it is done. */
export async function overConnections(url: string, count: number, connections: number, each: (n: number, connection: RawConnection) => Promise<void>): Promise<void> {
  let next = 0;
  await Promise.all(
    Array.from({ length: Math.min(connections, count) }, async () => {
      const connection = new RawConnection(url);
      try {
        while (next < count) await each(next++, connection);
      } finally {
        connection.close();
      }
    }),
  );
}
