type Write = (text: string, done: (error?: NodeJS.ErrnoException | null) => void) => unknown;

let writeStdout: Write = (text, done) => process.stdout.write(text, done);

/**
 * Keeps stdout for what a command results in: from now on only writeResult reaches it, and whatever a job, or a library,
 * prints there goes to stderr. To be called first of all.
 */
export function reserveStdout(): void {
  writeStdout = process.stdout.write.bind(process.stdout);
  process.stdout.write = process.stderr.write.bind(process.stderr);
  // Whoever reads may leave early (`| head`, a closed terminal); the command goes on to its end all the same.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);
}

let written = Promise.resolve();

/** Writes to stdout. A result that could not be written (a full disk) makes a command that failed. */
export function writeResult(text: string): void {
  const writing = new Promise<void>((resolve) => {
    writeStdout(text, (error) => {
      if (error && !READER_LEFT.has(error.code ?? '')) {
        note(`error: the result could not be written: ${error.message}`);
        process.exitCode = 1;
      }
      resolve();
    });
  });
  written = Promise.all([written, writing]).then(() => undefined);
}

const READER_LEFT = new Set(['EPIPE', 'ERR_STREAM_DESTROYED']);

/** JSON text that is ready, or a value: indented for a person at a terminal, one line for a program. */
export function writeJson(json: { readonly text: string } | { readonly value: unknown }): void {
  if (process.stdout.isTTY) writeResult(`${JSON.stringify('text' in json ? JSON.parse(json.text) : json.value, undefined, 2)}\n`);
  else writeResult(`${'text' in json ? json.text : JSON.stringify(json.value)}\n`);
}

/** Writes a line to stderr: what a person should know, and no program reads. */
export const note = (line: string): void => void process.stderr.write(`${line}\n`);

/** Resolves once all that was written has gone out: process.exit() cuts off what a pipe has not taken yet. */
export async function flushOutput(): Promise<void> {
  await written;
  await new Promise<void>((resolve) => void process.stderr.write('', () => resolve()));
}
