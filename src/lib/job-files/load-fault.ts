import path from 'node:path';
import { orUndefined } from '../errors/or-undefined.js';
import { describeError } from '../errors/error-description.js';
import { JobShapeError } from './module.js';
import { MarkFault } from '../personal-data/mark-faults.js';
import { withoutCredentials } from '../text/credentials.js';

const MOST_REASON = 1_000;
const MOST_READ = 65_536;

/**
 * Why a job cannot be loaded, for whoever has the terminal or the log: the cause of what `load` throws, which names the file by its
 * whole path. Users, passwords and tokens are taken out.
 */
export function loadFault(thrown: unknown): string {
  const { cause, message } = thrown as Error;
  const reason = cause instanceof Error ? cause.message : message;
  // Cut before as well as after: half an address with a password would not be known for one.
  return withoutCredentials(reason.slice(0, MOST_READ)).slice(0, MOST_REASON);
}

/**
 * The same for whoever may read the catalogue. What the file's top level threw may hold anything that is in its environment, so its
 * message is left out: the kind of error and the line of the job's file are told. What this service itself finds wrong with
 * a file is told in full.
 * @param file the job's, without folders
 */
export function loadFaultForViewers(thrown: unknown, file: string): string {
  const found = (thrown as Error | undefined)?.cause;
  const own = found instanceof Error ? (found.cause as unknown) : undefined;
  if (own === undefined && found instanceof Error) return withoutFolders(loadFault(thrown));
  if (own instanceof JobShapeError || own instanceof MarkFault) return `${file} cannot be loaded: ${own.message}`;
  return `${file} cannot be loaded: ${kindOf(own)}${placeIn(file, own)}. The log of the service says more; so does npm run -s job -- list.`;
}

/** An absolute path, but for its last part; no URL's. */
const FOLDERS = /(?<![\w.:/])(?:file:\/\/)?\/(?:[^\s'"`:/()]+\/)+/g;

/** Where the service is installed is no caller's concern. */
const withoutFolders = (reason: string): string => reason.replace(FOLDERS, '');

/** Names and codes that are so by custom. An error may be given any other, such as an address with a password. */
const ERROR_NAME = /^[A-Z][A-Za-z]{0,50}(?:Error|Exception)$|^Error$/;
const ERROR_CODE = /^(?:ERR_[A-Z_]{1,50}|MODULE_NOT_FOUND|E[A-Z]{2,20})$/;

function kindOf(thrown: unknown): string {
  const { name, code } = describeError(thrown);
  const kind = name === 'NonError' ? 'something was thrown that is no Error' : ERROR_NAME.test(name) ? name : 'Error';
  return code !== undefined && ERROR_CODE.test(code) ? `${kind} (${code})` : kind;
}

/** Where in the job's own file, from the stack: its line alone is taken from there. */
function placeIn(file: string, thrown: unknown): string {
  const stack = orUndefined(() => (thrown as { stack?: unknown } | null | undefined)?.stack);
  if (typeof stack !== 'string') return '';
  const named = `${path.parse(file).name}.`;
  for (const rest of stack.slice(0, MOST_READ).split(named).slice(1)) {
    const [, line] = /^[cm]?[jt]s:(\d{1,6})\b/.exec(rest) ?? [];
    if (line !== undefined) return ` at ${file}:${line}`;
  }
  return '';
}
