import type { EnvConfig } from '../env-config.js';
import type { ErrorDescription } from '../errors/error-description.js';
import { escapeControls } from '../text/escape-controls.js';
import type { CurrentRun, LogLevel } from '../run-scope.js';

/** One call of the logger: all its texts are of bounded size. */
export interface LogRecord {
  readonly at: Date;
  readonly level: LogLevel;
  readonly tag: string | undefined;
  readonly message: string;
  /** JSON text. */
  readonly data: string | undefined;
  readonly error: ErrorDescription | undefined;
  readonly run: CurrentRun | undefined;
  /** As RunScope has it. */
  readonly trace: string | undefined;
}

export type LogFormat = (record: LogRecord) => string;

/** Google Cloud's structured lines where the service is deployed, lines for people elsewhere. */
export const logFormat = (config: Pick<EnvConfig, 'deployment' | 'googleCloudProject'>, stream: NodeJS.WriteStream): LogFormat =>
  config.deployment === 'local' ? terminalFormat(stream) : googleCloudFormat(config.googleCloudProject);

const SEVERITY: Record<LogLevel, string> = { debug: 'DEBUG', info: 'INFO', warn: 'WARNING', error: 'ERROR' };

/**
 * One JSON object a line, with the fields that Google Cloud takes out of it.
 * https://cloud.google.com/logging/docs/structured-logging#structured_logging_special_fields
 */
export const googleCloudFormat =
  (project: string | undefined): LogFormat =>
  ({ at, level, tag, message, data, error, run, trace }) => {
    const fields = JSON.stringify({
      severity: SEVERITY[level],
      message: error ? headline(error) : message,
      time: at.toISOString(),
      ...((tag !== undefined || run) && { 'logging.googleapis.com/labels': { tag, jobName: run?.jobName, runId: run?.id } }),
      'logging.googleapis.com/trace': project === undefined ? undefined : traceName(project, trace),
      ...(error && { error: { ...error, message: undefined, stack: undefined } }),
      ...(level === 'error' && errorReport(error)),
    });
    return data === undefined ? fields : `${fields.slice(0, -1)},"data":${data}}`;
  };

/**
 * Error Reporting groups by the stack trace; an error without one is taken only where it says that it is one.
 * https://cloud.google.com/error-reporting/docs/formatting-error-messages
 */
const errorReport = (error: ErrorDescription | undefined): object =>
  error?.stack === undefined
    ? { '@type': 'type.googleapis.com/google.devtools.clouderrorreporting.v1beta1.ReportedErrorEvent' }
    : { stack_trace: error.stack };

/** The trace is an id, or a header that holds one: X-Cloud-Trace-Context, or traceparent (W3C Trace Context, 3.2). */
function traceName(project: string, trace: string | undefined): string | undefined {
  const id = trace === undefined ? undefined : /^(?:[\da-f]{2}-)?([\da-f]{32})(?![\da-f])/i.exec(trace)?.[1];
  return id === undefined ? undefined : `projects/${project}/traces/${id.toLowerCase()}`;
}

const LEVEL_COLOURS: Record<LogLevel, number> = { debug: 90, info: 36, warn: 33, error: 31 };
const DIM = 2;

/** One line a call, in colours where the terminal has them; below an error the lines of its stack, and of its causes' stacks. */
export function terminalFormat(stream: Pick<NodeJS.WriteStream, 'isTTY' | 'hasColors'>): LogFormat {
  // hasColors() knows NO_COLOR, NODE_DISABLE_COLORS and TERM=dumb.
  const hasColours = stream.isTTY && stream.hasColors();
  const paint = (colour: number, text: string) => (hasColours ? `\u001b[${colour}m${text}\u001b[0m` : text);
  return ({ at, level, tag, message, data, error, run }) => {
    const words = [
      paint(DIM, at.toISOString()),
      paint(LEVEL_COLOURS[level], level.toUpperCase().padEnd(5)),
      tag === undefined ? '' : `[${escapeControls(tag)}]`,
      run ? paint(DIM, `${escapeControls(run.jobName)}/${shortId(run.id)}`) : '',
      escapeControls(error ? headline(error) : message),
      data === undefined ? '' : paint(DIM, escapeControls(data)),
    ];
    return [words.filter((word) => word !== '').join(' '), ...stackLines(error).map((line) => paint(DIM, line))].join('\n');
  };
}

/** The end of the id: a UUID v7 begins with the time, which runs of the same minute share. */
const shortId = (id: string): string => id.slice(-8);

const headline = ({ name, message, code }: ErrorDescription): string => `${name}${code === undefined ? '' : ` (${code})`}: ${message}`;

function stackLines(error: ErrorDescription | undefined): string[] {
  if (!error) return [];
  const frames = error.stack?.split(/\r?\n(?=[ \t]+at )/).slice(1) ?? [];
  const causes = error.cause ? [`  caused by ${escapeControls(headline(error.cause))}`, ...stackLines(error.cause)] : [];
  return [...frames.map((frame) => `    ${escapeControls(frame.trim())}`), ...causes];
}
