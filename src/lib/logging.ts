import winston from 'winston';
import { orUndefined } from './errors/or-undefined.js';
import { type EnvConfig, envConfig } from './env-config.js';
import { describeError, type ErrorDescription } from './errors/error-description.js';
import { logFormat, type LogRecord } from './logging/log-format.js';
import type { Scrub } from './personal-data/scrubber.js';
import { type LogLevel, type LogLine, type RunScope, tryRunScope } from './run-scope.js';
import { toSafeJson } from './json/safe-json.js';
import { shownText } from './text/shown-text.js';
import { toStorableJson } from './json/storable-json.js';

/** What goes with an error: fields of its line's data, but for the tag. */
export type ErrorMeta = { tag?: string | undefined } & Readonly<Record<string, unknown>>;

/** The logger with its tag, and perhaps some fields for every line's data, given once. */
export interface ScopedLogger {
  readonly log: (message: string, data?: unknown) => void;
  /** The same as log. */
  readonly info: (message: string, data?: unknown) => void;
  readonly warn: (message: string, data?: unknown) => void;
  readonly debug: (message: string, data?: unknown) => void;
  readonly error: (error: unknown, data?: Readonly<Record<string, unknown>>) => void;
}

const MOST_TAG_BYTES = 100;
const MOST_MESSAGE_BYTES = 8_192;
/** The most that is kept with the run of one line's data. What is written of it may be longer. */
const MOST_KEPT_DATA_BYTES = 8_192;

/**
 * The log of the service and of its jobs. LOG_LEVEL says what is written; inside a run every line is also kept with the run,
 * whatever its level. Data may be anything, and is shown up to a size; fields named like secrets are not shown. No call throws.
 */
const logger = {
  log: (message: string, tag?: string, data?: unknown): void => say('info', message, tag, data),
  /** The same as log. */
  info: (message: string, tag?: string, data?: unknown): void => say('info', message, tag, data),
  warn: (message: string, tag?: string, data?: unknown): void => say('warn', message, tag, data),
  debug: (message: string, tag?: string, data?: unknown): void => say('debug', message, tag, data),
  /** @param error whatever was thrown, or a message */
  error: (error: unknown, meta: ErrorMeta = {}): void => {
    if (isWanted('error')) emit('error', orUndefined(() => meta.tag), (scrub) => errorEvent(error, () => meta, scrub));
  },
  createScopedLogger: ({ tag, ...fields }: ErrorMeta): ScopedLogger => {
    const sayAt = (level: LogLevel) => (message: string, data?: unknown): void => {
      if (isWanted(level)) emit(level, tag, () => ({ message, data: merged(fields, data) }));
    };
    return {
      log: sayAt('info'),
      info: sayAt('info'),
      warn: sayAt('warn'),
      debug: sayAt('debug'),
      error: (error, data) => {
        if (isWanted('error')) emit('error', tag, (scrub) => errorEvent(error, () => ({ ...fields, ...data }), scrub));
      },
    };
  },
};

function say(level: LogLevel, message: string, tag: string | undefined, data: unknown): void {
  if (isWanted(level)) emit(level, tag, () => ({ message, data }));
}

export default logger;

let isOnStderr = false;

/** Has the log written to stderr from now on, so that a command's stdout holds its result alone. */
export function logToStderr(): void {
  isOnStderr = true;
  sink = undefined;
}

interface LogEvent {
  readonly message: unknown;
  readonly data: unknown;
  readonly error?: ErrorDescription | undefined;
}

function errorEvent(error: unknown, readMeta: () => ErrorMeta, scrub: Scrub | undefined): LogEvent {
  const fields = orUndefined(() => {
    const { tag: _tag, ...rest } = readMeta();
    return rest;
  });
  const data = fields === undefined ? { meta: '[Throws]' } : Object.keys(fields).length === 0 ? undefined : fields;
  if (typeof error === 'string') return { message: error, data };
  const description = describeError(error, scrub);
  return { message: description.message, data, error: description };
}

function merged(fields: Readonly<Record<string, unknown>>, data: unknown): unknown {
  if (Object.keys(fields).length === 0) return data;
  if (typeof data !== 'object' || data === null) return data === undefined ? fields : { ...fields, data };
  const both = orUndefined(() => (Object.getPrototypeOf(data) === Object.prototype ? { ...fields, ...data } : undefined));
  return both ?? { ...fields, data };
}

const RANK: Record<LogLevel | 'silent', number> = { debug: 0, info: 1, warn: 2, error: 3, silent: 4 };

/** With an environment that is not usable the service does not start; what it says of that must be seen all the same. */
const FALLBACK = { deployment: 'local', logLevel: 'info', googleCloudProject: undefined } as const;

let settings: Pick<EnvConfig, 'deployment' | 'logLevel' | 'googleCloudProject'> | undefined;
let lowestRank: number | undefined;

/** Read at the first call, since importing a module reads nothing. */
const logSettings = () => (settings ??= orUndefined(envConfig) ?? FALLBACK);

const isWritten = (level: LogLevel): boolean => RANK[level] >= (lowestRank ??= RANK[logSettings().logLevel]);

const isWanted = (level: LogLevel): boolean => isWritten(level) || tryRunScope() !== undefined;

let isEmitting = false;

function emit(level: LogLevel, tag: unknown, eventOf: (scrub: Scrub | undefined) => LogEvent): void {
  // A getter of the data may log again: that line is dropped, or there would be no end.
  if (isEmitting) return;
  isEmitting = true;
  try {
    const scope = tryRunScope();
    const scrub = scope?.scrubber?.text;
    const record = recordOf(level, tag, eventOf(scrub), scope, scrub);
    if (scope) orUndefined(() => scope.keepLine(keptLine(record)));
    if (isWritten(level)) write(record);
  } catch {
    // Such as a stack that is full already: a line that cannot be logged is no reason for a job to fail.
  } finally {
    isEmitting = false;
  }
}

const recordOf = (level: LogLevel, tag: unknown, { message, data, error }: LogEvent, scope: RunScope | undefined, scrub?: Scrub): LogRecord => ({
  at: new Date(),
  level,
  tag: typeof tag === 'string' ? shownText(tag, MOST_TAG_BYTES, scrub) : undefined,
  message: shownText(typeof message === 'string' ? message : (toSafeJson(message, scrub) ?? ''), MOST_MESSAGE_BYTES, scrub),
  data: toSafeJson(data, scrub),
  error,
  run: scope?.run,
  trace: scope?.trace,
});

const keptLine = ({ at, level, tag, message, data, error }: LogRecord): LogLine => {
  const text = error ? withError(error, data) : data;
  return { at, level, tag, message, data: text === undefined ? undefined : toStorableJson(text, MOST_KEPT_DATA_BYTES) };
};

/** The data with the error in front. Data that has a toJSON of its own may be something other than an object. */
function withError(error: ErrorDescription, data: string | undefined): string {
  const members = data?.startsWith('{') ? data.slice(1, -1) : data && `"data":${data}`;
  return `{"error":${JSON.stringify(error)}${members ? `,${members}` : ''}}`;
}

let sink: winston.Logger | undefined;

function write(record: LogRecord): void {
  try {
    sink ??= openSink();
    sink.log({ level: record.level, message: record.message, record });
  } catch {
    // A stream of winston's that threw takes no more lines: the next line gets a new one.
    sink = undefined;
  }
}

function openSink(): winston.Logger {
  const stream = isOnStderr ? process.stderr : process.stdout;
  if (!stream.listeners('error').includes(ignore)) stream.on('error', ignore);
  const format = logFormat(logSettings(), stream);
  const opened = winston.createLogger({
    level: 'debug',
    levels: { error: 0, warn: 1, info: 2, debug: 3 },
    format: winston.format.printf(({ record }) => format(record as LogRecord)),
    transports: [new winston.transports.Stream({ stream, eol: '\n' })],
  });
  return opened.on('error', ignore);
}

/** A reader that went away (EPIPE), or a full disk below the log, must not end the service. */
const ignore = (): void => {};
