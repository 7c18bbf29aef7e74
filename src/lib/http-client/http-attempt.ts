import { StatusError } from '../../jobs/helpers.js';
import type { Fetch } from './checked-fetch.js';
import { FetchError } from './fetch-error.js';

/** A checked request, ready to be sent. */
export interface PreparedRequest {
  readonly url: URL;
  readonly method: string;
  readonly headers: Headers;
  readonly body: string | undefined;
  /** Its name in logs and errors: method and address, without the query. */
  readonly name: string;
}

export interface AttemptOptions {
  /** ms until the answer, and again for each wait for more of a streamed body. */
  readonly timeout: number;
  readonly signals: readonly AbortSignal[];
  readonly maxBytes?: number | undefined;
  /** In place of the global fetch. A StatusError that it rejects with is passed on as it is. */
  readonly fetch?: Fetch | undefined;
}

const MOST_REDIRECTS = 5;
const REDIRECTS = new Set([301, 302, 303, 307, 308]);

/** One attempt at a request: at most one answer, and what must be let go of afterwards. */
export class HttpAttempt {
  readonly #request: PreparedRequest;
  readonly #options: AttemptOptions;
  readonly #controller = new AbortController();
  readonly #stop = (): void => this.#controller.abort();
  #timer: NodeJS.Timeout | undefined;
  #timedOut = false;
  #response: Response | undefined;

  constructor(request: PreparedRequest, options: AttemptOptions) {
    this.#request = request;
    this.#options = options;
  }

  /** Gets the head of a 2xx answer. The timer runs on, so that what follows at once counts as well. @throws {FetchError} */
  async send(): Promise<void> {
    for (const signal of this.#options.signals) {
      signal.throwIfAborted();
      signal.addEventListener('abort', this.#stop, { once: true });
    }
    this.#startTimer();
    let { url } = this.#request;
    for (let redirects = 0; ; redirects++) {
      const response = await this.#fetch(url);
      if (response.ok) {
        this.#response = response;
        return;
      }
      // What it says besides is of no use, and would hold the connection.
      await response.body?.cancel();
      const { status } = response;
      const location = response.headers.get('Location');
      if (!REDIRECTS.has(status) || location === null) throw this.#refusal(response);
      url = this.#redirected(url, location, status, redirects);
    }
  }

  /**
   * The body as it comes in. Each wait for more may take as long as the timeout, however long the reader takes in between;
   * with `isTimedAsOne`, the head and the whole body may.
   */
  async *body({ isTimedAsOne = false } = {}): AsyncGenerator<Uint8Array, void, undefined> {
    if (!isTimedAsOne) this.#stopTimer();
    const { maxBytes = Infinity } = this.#options;
    try {
      if (Number(this.#response?.headers.get('Content-Length') ?? 0) > maxBytes) throw this.#tooLarge(maxBytes);
      const reader = this.#response?.body?.getReader();
      for (let bytes = 0; reader; ) {
        if (!isTimedAsOne) this.#startTimer();
        const { done, value } = await reader.read().catch((cause: unknown) => {
          throw this.#fault('broke off before its end', cause);
        });
        if (!isTimedAsOne) this.#stopTimer();
        if (done) return;
        bytes += value.byteLength;
        if (bytes > maxBytes) throw this.#tooLarge(maxBytes);
        yield value;
      }
    } finally {
      this.close();
    }
  }

  /** Lets go of the connection, the timer and the signals. */
  close(): void {
    this.#stopTimer();
    for (const signal of this.#options.signals) signal.removeEventListener('abort', this.#stop);
    this.#controller.abort();
  }

  async #fetch(url: URL): Promise<Response> {
    const { method, headers, body } = this.#request;
    const send = this.#options.fetch ?? fetch;
    return send(url, { method, headers, body, redirect: 'manual', signal: this.#controller.signal }).catch((cause: unknown) => {
      if (cause instanceof StatusError) throw cause;
      throw this.#fault('cannot be reached', cause);
    });
  }

  /** Where a redirect leads: on the same host alone, since the headers may hold a secret, and for what changes nothing. */
  #redirected(from: URL, location: string, status: number, redirects: number): URL {
    const to = URL.canParse(location, from) ? new URL(location, from) : undefined;
    const { method, name } = this.#request;
    if (method !== 'GET' && method !== 'HEAD') throw new FetchError(name, `answered ${status}; a ${method} does not follow redirects`, { status });
    if (redirects >= MOST_REDIRECTS) throw new FetchError(name, `was redirected more than ${MOST_REDIRECTS} times`, { status });
    if (!to || to.host !== from.host || to.username || to.password || !isAsSafe(from, to)) {
      throw new FetchError(name, `was redirected to ${to?.origin ?? 'no valid address'}; only redirects within the same host are followed`, { status });
    }
    return to;
  }

  #refusal({ status, headers }: Response): FetchError {
    const retryAfter = retryAfterMs(headers.get('Retry-After'));
    return new FetchError(this.#request.name, `answered ${status}`, { status, retryAfter, mayPass: status === 429 || status >= 500 });
  }

  /** What the failure of a fetch or a read means. @throws what a signal was aborted with */
  #fault(what: string, cause: unknown): FetchError {
    const { signals, timeout } = this.#options;
    for (const signal of signals) signal.throwIfAborted();
    if (this.#timedOut) return new FetchError(this.#request.name, `gave no answer within ${timeout / 1_000} s`, { mayPass: true });
    return new FetchError(this.#request.name, what, { mayPass: true, cause });
  }

  #tooLarge(maxBytes: number): FetchError {
    return new FetchError(this.#request.name, `answered with more than ${maxBytes} bytes`);
  }

  #startTimer(): void {
    this.#timer = setTimeout(() => {
      this.#timedOut = true;
      this.#controller.abort();
    }, this.#options.timeout);
  }

  #stopTimer(): void {
    clearTimeout(this.#timer);
  }
}

/** https does not become http on the way. */
const isAsSafe = (from: URL, to: URL): boolean => to.protocol === from.protocol || to.protocol === 'https:';

/** RFC 9110, 10.2.3: seconds, or a date. In ms; undefined for what is neither. */
function retryAfterMs(header: string | null): number | undefined {
  if (header === null) return undefined;
  if (/^\d+$/.test(header)) return Number(header) * 1_000;
  const at = /^[A-Z][a-z]{2}, /.test(header) ? Date.parse(header) : NaN;
  return Number.isNaN(at) ? undefined : Math.max(0, at - Date.now());
}
