import { createHash } from 'node:crypto';

/** Characters or bytes that are gathered before they are passed on: a row at a time would be a system call a row. */
const PIECE = 65_536;

/** Passes content on as bytes, in larger pieces than it came in, and knows in the end how many there were and their hash. */
export class ContentMeter {
  readonly #hash = createHash('sha256');
  #bytes = 0;

  async *measure(content: AsyncIterable<Uint8Array | string>): AsyncGenerator<Buffer, void, undefined> {
    for await (const bytes of gather(content)) {
      this.#hash.update(bytes);
      this.#bytes += bytes.length;
      yield bytes;
    }
  }

  /** To be asked once, when all has been measured. */
  total(): { bytes: number; sha256: string } {
    return { bytes: this.#bytes, sha256: this.#hash.digest('hex') };
  }
}

async function* gather(content: AsyncIterable<Uint8Array | string>): AsyncGenerator<Buffer, void, undefined> {
  let text = '';
  for await (const piece of content) {
    if (typeof piece === 'string') {
      text += piece;
      // Half a surrogate pair waits for its other half, or it would become U+FFFD.
      if (text.length < PIECE || /[\uD800-\uDBFF]$/.test(text)) continue;
    }
    if (text !== '') yield Buffer.from(text);
    text = '';
    if (typeof piece !== 'string' && piece.length > 0) yield Buffer.from(piece.buffer, piece.byteOffset, piece.byteLength);
  }
  if (text !== '') yield Buffer.from(text);
}
