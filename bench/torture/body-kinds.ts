import { brotliCompressSync, constants, deflateSync, gzipSync } from 'node:zlib';
import type { AskOptions } from './raw-connection.js';

/** A request's header lines behind the first ones, and what follows them. */
export interface HostileBody extends AskOptions {
  readonly headers: readonly string[];
  readonly body: Buffer | string;
}

/** Makes one of a kind. */
export interface BodyKind {
  readonly name: string;
  /** What is sent leaves the connection in a state in which nothing more can be asked. */
  readonly spoils?: boolean;
  readonly make: (random: () => number) => HostileBody;
}

const MEGABYTE = 1_048_576;
const JSON_TYPE = 'Content-Type: application/json';

const pick = <T>(random: () => number, values: readonly T[]): T => values[Math.floor(random() * values.length)]!;
const within = (random: () => number, most: number): number => Math.floor(random() * most);
const sent = (body: Buffer | string, ...headers: string[]): HostileBody => {
  const bytes = Buffer.from(body);
  return { headers: [...(headers.some((line) => /^content-type/i.test(line)) ? [] : [JSON_TYPE]), ...headers, `Content-Length: ${bytes.length}`], body: bytes };
};
/** About one in twenty is as long as the limit allows: each of those is work for both sides. */
const size = (random: () => number): number => (random() < 0.05 ? 1_000_000 : 2_000);
const chunk = (text: string): string => `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`;

/** Every kind; what is costly to make is made once. */
export function bodyKinds(): BodyKind[] {
  const zeroes = Buffer.alloc(64 * MEGABYTE);
  const bombs: readonly (readonly [string, Buffer])[] = [
    ['gzip', gzipSync(zeroes, { level: 9 })],
    ['deflate', deflateSync(zeroes, { level: 9 })],
    ['br', brotliCompressSync(zeroes, { params: { [constants.BROTLI_PARAM_QUALITY]: 5 } })],
  ];
  const kind = (name: string, make: BodyKind['make']): BodyKind => ({ name, make });
  const spoiling = (name: string, make: BodyKind['make']): BodyKind => ({ name, make, spoils: true });
  return [
    kind('broken JSON', (random) => {
      const text = JSON.stringify({ name: 'x', tags: ['a', { b: [1, 2, null] }] });
      const at = within(random, text.length);
      return sent(text.slice(0, at) + pick(random, ['', '"', '{', '}', ',', '\\', '\0', '[', "'", '//', '\u2028', 'NaN', '0x1', '-', '\\ud800']) + text.slice(at + within(random, 3)));
    }),
    kind('noise', (random) => sent(Buffer.from(Array.from({ length: within(random, 500) }, () => within(random, 256))))),
    kind('nested arrays', (random) => { const depth = pick(random, [99, 100, 101, 1_000, size(random) / 2]); return sent('['.repeat(depth) + ']'.repeat(depth)); }),
    kind('nested arrays that do not end', (random) => sent('['.repeat(size(random)))),
    kind('nested objects', (random) => { const depth = pick(random, [50, 101, 1_000, size(random) / 10]); return sent('{"a":'.repeat(depth) + '1' + '}'.repeat(depth)); }),
    ...bombs.flatMap(([encoding, bytes]) => [
      kind(`${encoding} bomb`, () => sent(bytes, `Content-Encoding: ${encoding}`)),
      kind(`${encoding} cut off`, (random) => sent(bytes.subarray(0, 10 + within(random, 40)), `Content-Encoding: ${encoding}`)),
    ]),
    kind('gzip with noise behind it', () => sent(Buffer.concat([gzipSync('{}'), Buffer.alloc(1_000, 0xff)]), 'Content-Encoding: gzip')),
    kind('gzip of gzip', () => sent(gzipSync(gzipSync('{}')), 'Content-Encoding: gzip, gzip')),
    kind('an encoding that it has not', (random) => sent('{}', `Content-Encoding: ${pick(random, ['gzip', 'br', 'deflate', 'zstd', 'compress', 'x-gzip', 'identity, gzip', '', '*', 'GZIP', 'gzip;q=1', '__proto__'])}`)),
    kind('wrong charset', (random) => sent(pick(random, [Buffer.from('\ufeff{"a":"\u00e9"}', 'utf16le'), Buffer.from('{"a":"\u00e9"}', 'latin1'), Buffer.from('\ufeff{}'), Buffer.from([0x7b, 0xc0, 0x80, 0x7d])]), `Content-Type: application/json; charset=${pick(random, ['utf-16', 'latin1', 'utf-8', 'UTF-7', 'x', '"utf-8"', '__proto__', 'utf-8; charset=utf-16'])}`)),
    kind('wrong type', (random) => sent('{"a":1}', `Content-Type: ${pick(random, ['text/plain', 'multipart/form-data; boundary=x', 'application/x-www-form-urlencoded', 'text/html', 'application/xml', '', ';', '/', 'application/json, text/plain', 'application/jsonp', '__proto__', 'a'.repeat(8_000)])}`)),
    kind('lone surrogates', (random) => sent(`{"name":"${pick(random, ['\\ud800', '\\udfff', '\\ud800\\ud800', 'a\\udc00b'])}","${pick(random, ['\\ud800', 'x'])}":1}`)),
    kind('surrogates as bytes', () => sent(Buffer.from([0x7b, 0x22, 0xed, 0xa0, 0x80, 0x22, 0x3a, 0x31, 0x7d]))),
    kind('NUL', (random) => sent(pick(random, ['{"name":"\\u0000"}', '{"\\u0000":1}', '"\\u0000"', '{"name":"a\\u0000b","password":"\\u0000"}', '\0', '{}\0']))),
    kind('controls and directions', () => sent(JSON.stringify({ name: '\u001b[2J\u202e\u2028\r\nHTTP/1.1 200 OK', '\u001b]0;x\u0007': '\u0085' }))),
    kind('__proto__', (random) => sent(pick(random, ['{"__proto__":{"isAdmin":true}}', '{"a":[{"__proto__":1}]}', '{"constructor":{"prototype":{"a":1}}}', '{"\\u005f_proto__":{}}', '{"__proto__":null}', '{"constructor":1,"prototype":2,"toString":3,"hasOwnProperty":4,"toJSON":5,"then":6}']))),
    kind('huge numbers', (random) => sent(`{"name":"x","n":${pick(random, ['1e999', '-1e999', '1e-999', '-0', '9'.repeat(size(random)), `0.${'1'.repeat(size(random))}`, '1e308', '9007199254740993', '1E+400'])}}`)),
    kind('huge arrays', (random) => sent(`[${'0,'.repeat(size(random) / 2 - 1)}0]`)),
    kind('arrays of empty objects', (random) => sent(`[${'{},'.repeat(size(random) / 3 - 1)}{}]`)),
    kind('many keys', (random) => sent(`{${Array.from({ length: size(random) / 20 }, (_, n) => `"key${n}":${n}`).join(',')}}`)),
    kind('many secrets', (random) => { const length = pick(random, [8, 60, 180]); return sent(JSON.stringify(Object.fromEntries(Array.from({ length: Math.floor(size(random) / (length + 25)) }, (_, n) => [`password${n}`, `${n}`.padEnd(length, pick(random, ['a', '(', '\\', '.*', '\u00e9']))])))); }),
    kind('one long secret', (random) => sent(JSON.stringify({ password: pick(random, ['a', 'aA', '(a+)+', '\u{1f600}']).repeat(size(random) / 8), name: 'x' }))),
    kind('personal data that are everywhere', (random) => sent(JSON.stringify({ name: pick(random, ['tags', 'null', 'error', '1', '"', '\\', '{', 'a', ' ', '', '[Personal]', '$&', 'status', 'x'.repeat(size(random) / 2)]), tags: ['tags', 'null', 1] }))),
    kind('duplicate keys', (random) => sent(`{"name":"x",${'"name":"y",'.repeat(size(random) / 12)}"name":"z"}`)),
    kind('no object', (random) => sent(pick(random, ['null', '1', '"x"', '[]', 'true', '""', ' ', '\n\n', '[null]', '1e5']))),
    kind('a long text', (random) => sent(JSON.stringify({ name: '\\'.repeat(size(random) / 4), note: '\u2028'.repeat(size(random) / 8) }))),
    kind('over the limit', (random) => sent('x'.repeat(MEGABYTE + 1 + within(random, 100)))),
    kind('chunked in pieces', (random) => ({ headers: [JSON_TYPE, 'Transfer-Encoding: chunked'], body: `{"name":"${'x'.repeat(within(random, 300))}"}`.split('').map(chunk).join('') + '0\r\n\r\n' })),
    spoiling('chunked, over the limit', () => ({ headers: [JSON_TYPE, 'Transfer-Encoding: chunked'], body: chunk('y'.repeat(65_536)).repeat(17) + '0\r\n\r\n' })),
    spoiling('chunked and cut off', (random) => ({ headers: [JSON_TYPE, 'Transfer-Encoding: chunked'], body: pick(random, ['5\r\n{"a"', chunk('{"a":'), '', '5', 'ffffffff\r\n{}']), hangUp: true })),
    spoiling('chunks that are none', (random) => ({ headers: [JSON_TYPE, 'Transfer-Encoding: chunked'], body: pick(random, ['zz\r\n{}\r\n0\r\n\r\n', '-1\r\n{}\r\n', '2 \r\n{}\r\n0\r\n\r\n', 'ffffffffffffffffff\r\n{}', `2;${'x'.repeat(20_000)}\r\n{}\r\n0\r\n\r\n`, '2\n{}\n0\n\n']), hangUp: true })),
    spoiling('fewer bytes than promised', (random) => ({ headers: [JSON_TYPE, `Content-Length: ${pick(random, [10, 1_000, 1_000_000])}`], body: '{"a":1}', hangUp: true })),
    spoiling('more bytes than promised', () => ({ headers: [JSON_TYPE, 'Content-Length: 2'], body: '{}garbage GET /jobs HTTP/1.1\r\n\r\n' })),
    spoiling('lengths that are none', (random) => ({ headers: [JSON_TYPE, `Content-Length: ${pick(random, ['-1', '1e3', '0x10', '9'.repeat(30), '2, 2', 'NaN', '', '+2', '2 2'])}`], body: '{}', hangUp: true })),
    spoiling('two lengths', () => ({ headers: [JSON_TYPE, 'Content-Length: 2', 'Content-Length: 7'], body: '{"a":1}', hangUp: true })),
    spoiling('a length and chunks', () => ({ headers: [JSON_TYPE, 'Content-Length: 4', 'Transfer-Encoding: chunked'], body: '2\r\n{}\r\n0\r\n\r\n', hangUp: true })),
    spoiling('transfer encodings that are none', (random) => ({ headers: [JSON_TYPE, `Transfer-Encoding: ${pick(random, ['gzip, chunked', 'chunked, gzip', 'xchunked', 'identity', 'chunked, chunked', '\u000bchunked'])}`], body: '2\r\n{}\r\n0\r\n\r\n', hangUp: true })),
    spoiling('trailers', (random) => ({ headers: [JSON_TYPE, 'Transfer-Encoding: chunked', 'Trailer: X'], body: `${chunk('{}')}0\r\nX: ${'y'.repeat(pick(random, [1, 40_000]))}\r\n\r\n`, hangUp: true })),
    kind('expects 100-continue', () => ({ ...sent('{"a":1}', 'Expect: 100-continue') })),
    spoiling('expects something else', () => ({ ...sent('{"a":1}', 'Expect: the-unexpected') })),
    kind('a hundred headers', () => sent('{}', ...Array.from({ length: 100 }, (_, n) => `X-H${n}: ${n}`))),
    spoiling('too many headers', () => sent('{}', ...Array.from({ length: 3_000 }, (_, n) => `X-H${n}: ${n}`))),
    spoiling('an upgrade', () => sent('{}', 'Connection: Upgrade', 'Upgrade: websocket')),
  ];
}
