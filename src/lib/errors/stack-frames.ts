const FRAME = '\n    at ';
/** More is no stack that anybody reads, or no stack at all. */
const MOST_CHARACTERS = 65_536;

/**
 * The frames at the end of an error's stack, each behind a newline, without lines of its message that look like one. '' for no stack.
 * A stack of more than 64 KB gives its last frames. In a time that grows with the stack and the message alone.
 */
export function framesOf(error: object): string {
  const { stack, message } = error as { stack?: unknown; message?: unknown };
  const frames = lastFrames(String(stack).slice(-MOST_CHARACTERS));
  const wanted = new Set(frames);
  for (const line of frameLikeLines(String(message))) wanted.delete(line);
  return frames.filter((frame) => wanted.has(frame)).join('');
}

/** The lines that look like frames, with nothing behind them. */
function lastFrames(text: string): string[] {
  const frames: string[] = [];
  for (let end = text.length; end > 0; ) {
    const start = text.lastIndexOf('\n', end - 1);
    if (start < 0 || !text.startsWith(FRAME, start)) break;
    frames.push(text.slice(start, end));
    end = start;
  }
  return frames.toReversed();
}

function* frameLikeLines(text: string): Generator<string> {
  // The message may begin with such a line.
  const lines = `\n${text}`;
  for (let start = lines.indexOf(FRAME); start >= 0; start = lines.indexOf(FRAME, start + 1)) {
    const end = lines.indexOf('\n', start + 1);
    yield lines.slice(start, end < 0 ? undefined : end);
  }
}
