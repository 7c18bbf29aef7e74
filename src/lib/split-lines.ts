/**
 * The lines of UTF-8 text, without their ends (LF or CRLF) and without a byte order mark. Bytes that are no UTF-8 come out
 * as U+FFFD. A line that is much longer than `mostChars` comes out cut, so that text without any line end fills no memory.
 */
export async function* splitLines(bytes: AsyncIterable<Uint8Array>, mostChars: number): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of bytes) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split(/\r?\n/);
    rest = lines.pop()!;
    if (rest.length > mostChars) rest = rest.slice(0, mostChars);
    yield* lines;
  }
  rest += decoder.decode();
  if (rest !== '') yield rest;
}
