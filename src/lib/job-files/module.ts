import type { ZodType } from 'zod';
import type { JobConfig, ScriptHandler } from '../../jobs/helpers.js';
import { checkConfig } from './config.js';
import { type Handled, handledBy } from './handled.js';
import { checkMarks } from '../personal-data/mark-faults.js';
import { ServiceError } from '../errors/service-error.js';

/** What a job file exports, checked. */
export interface LoadedJob {
  readonly handler: ScriptHandler;
  /** What handle() made the handler of; undefined for one that parses its body itself. */
  readonly handled?: Handled | undefined;
  readonly RequestBody: ZodType | undefined;
  readonly config: JobConfig;
  /** ms, or undefined for the service's default. */
  readonly timeoutMs: number | undefined;
}

/**
 * The job in a module that is being imported.
 * @throws {ServiceError} 500, saying nothing but that; its cause names the file, what is wrong and what to do
 */
export async function loadJob(file: string, importing: Promise<unknown>): Promise<LoadedJob> {
  try {
    return checkShape((await importing) as Record<string, unknown>);
  } catch (error) {
    throw cannotBeLoaded(`${file} cannot be loaded: ${messageOf(error)}`, error);
  }
}

/** What this service finds wrong with what a file exports. Its message is the service's own, and quotes nothing of the file's. */
export class JobShapeError extends TypeError {
  override readonly name = 'JobShapeError';
}

/** What the caller is told is the same whatever the reason, which is for the log and the run's row. */
export const cannotBeLoaded = (reason: string, cause?: unknown): ServiceError =>
  new ServiceError(500, 'The job cannot be loaded. The log names its file and the reason.', { cause: new Error(reason, { cause }) });

function checkShape({ default: handler, RequestBody: exported, config = {} }: Record<string, unknown>): LoadedJob {
  if (typeof handler !== 'function') {
    throw new JobShapeError(`it has ${handler === undefined ? 'no default export' : 'a default export that is no function'}. `
      + 'End it with: export default main; where main is (req) => Promise of JSON');
  }
  const handled = handledBy(handler);
  if (exported !== undefined && handled && exported !== handled.RequestBody) {
    throw new JobShapeError('it exports another RequestBody than the one it gives to handle(). Write: export default handle(RequestBody, ...) with the exported one');
  }
  const RequestBody = exported ?? handled?.RequestBody;
  if (RequestBody !== undefined && typeof (RequestBody as ZodType | null)?.safeParseAsync !== 'function') {
    throw new JobShapeError('its RequestBody is no Zod schema. Write: export const RequestBody = z.object({...})');
  }
  if (RequestBody !== undefined) checkMarks(RequestBody as ZodType);
  return {
    handler: handler as ScriptHandler,
    handled,
    RequestBody: RequestBody as ZodType | undefined,
    config: config as JobConfig,
    ...checkConfig(config),
  };
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : 'its top level threw something that is no Error');
