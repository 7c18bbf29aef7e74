import type { RunStatus } from './run-status.js';

/** As much of a run's row as a refusal says. */
export interface RefusedRun {
  readonly id: string;
  readonly status: RunStatus;
  readonly host: string | null;
  readonly queuedAt: Date | null;
  readonly startedAt: Date | null;
  readonly finishedAt: Date | null;
}

/** A run that is in the way of another one of its job. */
export type RunInTheWay = Pick<RefusedRun, 'id' | 'host' | 'startedAt'>;

/** Why a run was not to run. @param active the run in its way; undefined when that has ended meanwhile */
export const anotherIsActive = (active: RunInTheWay | undefined): string =>
  active
    ? `Another run of this job is active: ${active.id}, running${since(active.startedAt)}${on(active)}, and its config.overlap is 'skip'. Wait for it, or cancel it: ${how('cancel', active.id)}`
    : "Another run of this job was active, and its config.overlap is 'skip'. That run has ended by now: start this one again.";

/** Why the run cannot be started again, and what to do. */
export function whyNotAgain(run: RefusedRun): string {
  const { id, finishedAt } = run;
  switch (run.status) {
    case 'queued':
      return `Run ${id} is queued${since(run.queuedAt)}, so it cannot be started again: it starts by itself. To stop it: ${how('cancel', id)}`;
    case 'running':
      return `Run ${id} is running${since(run.startedAt)}${on(run)}, so it cannot be started again: cancel it first (${how('cancel', id)}), or wait until it has ended.`;
    case 'succeeded':
      return `Run ${id} has succeeded${at(finishedAt)}: there is nothing to start again. To do its work once more, start its job anew. If items of it failed, retry just these: ${how('retry', id, 'only=failed', '--only-failed')}`;
    case 'skipped':
      return `Run ${id} was skipped${at(finishedAt)}, since another run of its job was active: nothing of it was run. Start its job anew.`;
    default:
      // Such a run can be started again, so another attempt of it began and ended while this one was asked for.
      return `Run ${id} was started again in the same moment, and is ${run.status}${since(finishedAt)}. Look at it first: ${how('show', id)}`;
  }
}

/** Why there is nothing of the run to cancel, and what to do. */
export function whyNotCancelled({ id, status, finishedAt }: RefusedRun): string {
  const nothing = 'so there is nothing to cancel.';
  const again = `To start it again: ${how('resume', id)}`;
  switch (status) {
    case 'succeeded':
      return `Run ${id} has succeeded${at(finishedAt)}, ${nothing}`;
    case 'skipped':
      return `Run ${id} was skipped${at(finishedAt)}, ${nothing}`;
    case 'lost':
      return `Run ${id} is lost${since(finishedAt)}: its process died, or lost the database, ${nothing} ${again}`;
    case 'queued':
    case 'running':
      return `Run ${id} is ${status}, since it was started again meanwhile. Cancel it once more: ${how('cancel', id)}`;
    case 'failed':
      return `Run ${id} is failed${since(finishedAt)}, ${nothing} To go on with it: ${how('resume', id)}. To begin anew: ${how('retry', id)}. `
        + `If items of it failed, to do just these: ${how('retry', id, 'only=failed', '--only-failed')}`;
    default:
      return `Run ${id} is ${status}${since(finishedAt)}, ${nothing} ${again}`;
  }
}

/** How the run stands: "is lost since <time>", "has succeeded at <time>". */
export function stateOf({ status, finishedAt, startedAt, queuedAt }: Omit<RefusedRun, 'id' | 'host'>): string {
  if (status === 'succeeded') return `has succeeded${at(finishedAt)}`;
  if (status === 'skipped') return `was skipped${at(finishedAt)}`;
  const begin = status === 'queued' ? queuedAt : status === 'running' ? startedAt : finishedAt;
  return `is ${status}${since(begin)}`;
}

/** Such as `POST /runs/<id>/cancel, or npm run -s job -- cancel <id>`. */
export function how(act: 'cancel' | 'resume' | 'retry' | 'show', id: string, query?: string, option?: string): string {
  const request = act === 'show' ? `GET /runs/${id}` : `POST /runs/${id}/${act}${query === undefined ? '' : `?${query}`}`;
  return `${request}, or npm run -s job -- ${act} ${id}${option === undefined ? '' : ` ${option}`}`;
}

/** ISO 8601 in UTC, to the second. */
const second = (time: Date): string => time.toISOString().replace(/\.\d+Z$/, 'Z');
/** " since <time>", for a state that lasts. */
export const since = (time: Date | null): string => (time ? ` since ${second(time)}` : '');
const at = (time: Date | null): string => (time ? ` at ${second(time)}` : '');
const on = ({ host }: Pick<RefusedRun, 'host'>): string => (host === null ? '' : ` on ${host}`);
