/** What a run's row says of it. */
export type RunStatus = 'queued' | 'running' | 'succeeded' | 'failed' | 'timed_out' | 'cancelled' | 'interrupted' | 'lost' | 'skipped';

interface Transition {
  readonly from: RunStatus | '(new)';
  readonly to: RunStatus;
  readonly when: string;
}

/**
 * Every way a run may go; whatever is not here is refused.
 *
 * ```mermaid
 * stateDiagram-v2
 *   [*] --> queued
 *   [*] --> running
 *   [*] --> skipped
 *   queued --> running
 *   queued --> cancelled
 *   running --> succeeded
 *   running --> failed
 *   running --> timed_out
 *   running --> cancelled
 *   running --> interrupted
 *   running --> lost
 *   failed --> queued
 *   timed_out --> queued
 *   interrupted --> queued
 *   lost --> queued
 *   failed --> running
 *   timed_out --> running
 *   interrupted --> running
 *   lost --> running
 *   cancelled --> running
 * ```
 */
export const TRANSITIONS: readonly Transition[] = [
  { from: '(new)', to: 'queued', when: 'accepted for later (202)' },
  { from: '(new)', to: 'running', when: 'started in the request, on the command line, or by a test' },
  { from: '(new)', to: 'skipped', when: 'overlap policy `skip`, another run is active' },
  { from: 'queued', to: 'running', when: 'a worker took it' },
  { from: 'queued', to: 'cancelled', when: 'cancelled before it started' },
  { from: 'running', to: 'succeeded', when: 'returned, or threw AcceptableError' },
  { from: 'running', to: 'failed', when: 'threw' },
  { from: 'running', to: 'timed_out', when: 'passed its timeout' },
  { from: 'running', to: 'cancelled', when: 'cancelled by a person' },
  { from: 'running', to: 'interrupted', when: 'the service stopped while it ran' },
  { from: 'running', to: 'lost', when: 'its lease passed: the process died' },
  { from: 'failed', to: 'queued', when: 'attempts are left (async), or a person asked to retry or resume' },
  { from: 'timed_out', to: 'queued', when: 'attempts are left (async), or a person asked to retry or resume' },
  { from: 'interrupted', to: 'queued', when: 'attempts are left (async), or a person asked to retry or resume' },
  { from: 'lost', to: 'queued', when: 'attempts are left (async), or a person asked to retry or resume' },
  // A scheduler that gets no 2xx delivers again, and waits for that answer: a new attempt starts in its request.
  // Whoever retries or resumes a run waits for it likewise.
  { from: 'failed', to: 'running', when: 'the same delivery came again, or a person asked to retry or resume' },
  { from: 'timed_out', to: 'running', when: 'the same delivery came again, or a person asked to retry or resume' },
  { from: 'interrupted', to: 'running', when: 'the same delivery came again, or a person asked to retry or resume' },
  { from: 'lost', to: 'running', when: 'the same delivery came again, or a person asked to retry or resume' },
  { from: 'cancelled', to: 'running', when: 'a person asked to retry or resume' },
];

export const RUN_STATUSES: readonly RunStatus[] = [
  'queued', 'running', 'succeeded', 'failed', 'timed_out', 'cancelled', 'interrupted', 'lost', 'skipped',
];

export const isRunStatus = (text: string): text is RunStatus => (RUN_STATUSES as readonly string[]).includes(text);

export const mayMove = (from: RunStatus | '(new)', to: RunStatus): boolean =>
  TRANSITIONS.some((transition) => transition.from === from && transition.to === to);

/** The statuses from which a run may become `to`. */
export const sourcesOf = (to: RunStatus): readonly RunStatus[] => RUN_STATUSES.filter((from) => mayMove(from, to));

const quoted = (status: string): string => `'${status}'`;

const oneOf = (statuses: readonly RunStatus[]): string => `(${statuses.map(quoted).join(', ')})`;

/** SQL: the status of a row that is made. @throws {Error} for one that no run may begin with */
export function sqlNew(status: RunStatus): string {
  if (!mayMove('(new)', status)) throw new Error(`no run may begin as ${status}`);
  return quoted(status);
}

/** SQL: whether a run whose status is `status` may become `to`. Every statement that moves a run has this guard, or the next one. */
export const sqlMayBecome = (status: string, to: RunStatus): string => `${status} in ${oneOf(sourcesOf(to))}`;

/**
 * SQL: whether a run whose status is `status` may end as `end` says, which differs from row to row. An end is always that of a run that is
 * running: a late one must not move a run that has ended, or that waits for its next attempt, even where there is such an arrow.
 */
export const sqlMayEnd = (status: string, end: string): string =>
  `${status} = 'running' and ${end} in ${oneOf(RUN_STATUSES.filter((to) => mayMove('running', to)))}`;

/** The statuses of a finished run that a person may start again. */
export const restartable: readonly RunStatus[] = sourcesOf('running').filter((status) => status !== 'queued');

/** Those that a repeated delivery starts again: what a person has cancelled, a scheduler does not. */
export const redeliverable: readonly RunStatus[] = restartable.filter((status) => status !== 'cancelled');
