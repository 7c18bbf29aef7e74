/**
 * The lines of UTF-8 text, without their ends (LF or CRLF) and without a byte order mark. Bytes that are no UTF-8 come out
 * as U+FFFD. A line that is much longer than `mostChars` comes out cut, so that text without any line end fills no memory.
 */
export async function* splitLines(bytes: AsyncIterable<Uint8Array>, mostChars: number): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of bytes) {
    const lines = decoder.decode(chunk, { stream: true }).split('\n');
    const last = lines.pop()!;
    for (const line of lines) {
      yield withoutReturn(rest + line);
      rest = '';
    }
    // Nothing is added once it is full, so that a chunk costs as much as it is long, and no more.
    if (rest.length <= mostChars) rest += last;
    if (rest.length > mostChars) rest = rest.slice(0, mostChars + 1);
  }
  rest += decoder.decode();
  if (rest !== '') yield rest;
}

const withoutReturn = (line: string): string => (line.endsWith('\r') ? line.slice(0, -1) : line);
