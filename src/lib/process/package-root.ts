import path from 'node:path';
import { fileURLToPath } from 'node:url';

let root: string | undefined;

/**
 * The absolute path of the folder that holds package.json, src or dist, and data. It is where the code is, whatever the
 * process was started by and from: neither its working directory nor its command line is looked at.
 */
export const packageRoot = (): string => (root ??= path.resolve(path.dirname(thisFile()), '../../..'));

/**
 * The path of this very file, src/lib/process/package-root.ts or dist/lib/process/package-root.js. Node has one name for it in ES modules,
 * which Jest's CommonJS cannot parse, and another in CommonJS, which ES modules lack. V8's stack knows it in both
 * (https://v8.dev/docs/stack-trace-api).
 */
function thisFile(): string {
  // oxlint-disable-next-line typescript/unbound-method -- put back as it was, never called here
  const settings = { prepareStackTrace: Error.prepareStackTrace, stackTraceLimit: Error.stackTraceLimit };
  try {
    Error.stackTraceLimit = 1;
    Error.prepareStackTrace = (_error, [site]) => site?.getFileName();
    const file = new Error().stack as string;
    return file.startsWith('file:') ? fileURLToPath(file) : file;
  } finally {
    Object.assign(Error, settings);
  }
}
