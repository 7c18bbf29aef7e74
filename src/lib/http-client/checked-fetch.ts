import { lookup as resolve } from 'node:dns';
import http from 'node:http';
import https from 'node:https';
import { isIP, type LookupFunction } from 'node:net';
import { pipeline, Readable } from 'node:stream';
import { createBrotliDecompress, createGunzip, createInflate } from 'node:zlib';

/** As much of the global fetch as an attempt at a request needs. */
export type Fetch = (url: URL, init: { method: string; headers: Headers; body: string | undefined; redirect: 'manual'; signal: AbortSignal }) => Promise<Response>;

/**
 * A fetch that connects only to addresses that `check` lets pass. A host's name is resolved once, and the connection goes to just what
 * was checked, so a name that resolves to something else a moment later (DNS rebinding) leads nowhere else. Each request
 * has a connection of its own, and none goes by a proxy. (Node's own fetch cannot be told how to resolve a name.)
 * @param check throws for an IP address that must not be connected to; what it throws is what the fetch rejects with
 */
export const checkedFetch = (check: (address: string) => void): Fetch => async (url, { method, headers, body, signal }) => {
  const literal = url.hostname.replace(/^\[(.*)\]$/, '$1');
  if (isIP(literal)) check(literal);
  const { request } = url.protocol === 'https:' ? https : http;
  const sent = { accept: '*/*', 'user-agent': 'node', 'accept-encoding': 'identity', ...Object.fromEntries(headers) };
  return new Promise((answered, failed) => {
    const asked = request(url, { method, headers: sent, signal, agent: false, lookup: checkedLookup(check) }, (answer) => {
      try {
        answered(responseOf(answer));
      } catch (error) {
        answer.destroy();
        failed(error as Error);
      }
    });
    asked.on('error', failed).end(body);
  });
};

const checkedLookup = (check: (address: string) => void): LookupFunction => (hostname, options, done) => {
  resolve(hostname, { ...options, all: true }, (error, addresses) => {
    if (error) return done(error, []);
    try {
      // One that is refused among several refuses them all: a connection tries each of them.
      for (const { address } of addresses) check(address);
    } catch (refused) {
      return done(refused as Error, []);
    }
    const [first] = addresses;
    return options.all || !first ? done(null, addresses) : done(null, first.address, first.family);
  });
};

/** Statuses whose answers have no body (https://fetch.spec.whatwg.org/#null-body-status). */
const WITHOUT_BODY = new Set([204, 205, 304]);

function responseOf(answer: http.IncomingMessage): Response {
  const { statusCode: status = 0, rawHeaders } = answer;
  const headers = new Headers();
  for (let at = 0; at < rawHeaders.length; at += 2) headers.append(rawHeaders[at]!, rawHeaders[at + 1]!);
  if (WITHOUT_BODY.has(status)) {
    answer.resume();
    return new Response(null, { status, headers });
  }
  const decoded = decode(answer, headers);
  return new Response(Readable.toWeb(decoded) as ReadableStream<Uint8Array>, { status, headers });
}

const DECODERS: Readonly<Record<string, () => NodeJS.ReadWriteStream & Readable>> = { gzip: createGunzip, 'x-gzip': createGunzip, deflate: createInflate, br: createBrotliDecompress };

/** The body as it was before a server packed it, as fetch gives it (RFC 9110, 8.4), though none was asked to. */
function decode(answer: http.IncomingMessage, headers: Headers): Readable {
  const decoder = DECODERS[headers.get('content-encoding')?.trim().toLowerCase() ?? '']?.();
  if (!decoder) return answer;
  headers.delete('content-length');
  // Whoever reads the decoder hears of what fails on either side.
  return pipeline(answer, decoder, () => undefined) as typeof decoder;
}
