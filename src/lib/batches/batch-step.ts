import type { Knex } from 'knex';
import type { JSONData } from '../../jobs/helpers.js';
import type { RunProgress } from '../run-scope.js';
import type { BatchRun } from './batch-run.js';

/** Where one processInBatches of a run got to, in all of the run's attempts together. */
export interface StepState {
  /** Meant for the source that made it. */
  readonly position: JSONData;
  readonly processed: number;
  readonly succeeded: number;
  readonly failed: number;
}

/** One processInBatches of a run, as far as the run keeps it. */
export interface BatchStep {
  /** Where an earlier attempt got to. */
  readonly start: StepState | undefined;
  /** The keys that this step is to keep to, or undefined for all. */
  readonly onlyKeys: readonly JSONData[] | undefined;
  /** Somebody may look at the progress, so that a total is worth finding out. */
  readonly isWatched: boolean;
  readonly progress: (counts: RunProgress) => void;
  /** Has the run keep `state`; with `trx`, from its commit on. @param redone keys of failed rows, reported since the last one, that `state` is not past */
  checkpoint(state: StepState, trx?: Knex.Transaction, redone?: readonly JSONData[]): Promise<void>;
  /** Has the run keep a failed row; with `trx`, from its commit on. */
  readonly failure: (key: JSONData, error: unknown, trx?: Knex.Transaction) => void;
}

/** The run's cursor: the states of its steps, by their numbers. */
type Steps = Record<string, StepState>;

interface RunSteps {
  begun: number;
  isBusy: boolean;
  readonly states: Steps;
}

const stepsOfRuns = new WeakMap<BatchRun, RunSteps>();

const NOTHING_KEPT: BatchStep = {
  start: undefined,
  onlyKeys: undefined,
  isWatched: false,
  progress: () => undefined,
  checkpoint: async () => undefined,
  failure: () => undefined,
};

/**
 * Calls `work` with what the run keeps of it. The steps of a run, one after the other, are numbered: a resumed run passes
 * over those that were done and goes on inside the one that was not. A step that is begun while another is going (inside
 * an item of it, or beside it) keeps nothing but its failures, since a run has one cursor and one progress.
 */
export async function inStep<T>(run: BatchRun | undefined, work: (step: BatchStep) => Promise<T>): Promise<T> {
  if (!run) return work(NOTHING_KEPT);
  const steps = stepsOfRuns.get(run) ?? { begun: 0, isBusy: false, states: stepsIn(run.cursor) };
  stepsOfRuns.set(run, steps);
  if (steps.isBusy) return work({ ...NOTHING_KEPT, failure: (key, error) => run.failure({ key, error }) });
  steps.isBusy = true;
  try {
    return await work(outerStep(run, steps, String(++steps.begun)));
  } finally {
    steps.isBusy = false;
  }
}

function outerStep(run: BatchRun, steps: RunSteps, number: string): BatchStep {
  const ofRun = (key: JSONData): JSONData => (number === '1' ? key : { step: number, key });
  return {
    start: steps.states[number],
    onlyKeys: run.onlyKeys && keysOfStep(run.onlyKeys, number),
    isWatched: true,
    progress: (counts) => run.progress(counts),
    async checkpoint(state, trx, redone) {
      const states: Steps = { ...steps.states, [number]: state };
      await run.checkpoint({ steps: states as unknown as JSONData }, trx, redone?.map(ofRun));
      const keep = () => void (steps.states[number] = state);
      // Not before the commit: the next step's checkpoint saves this state again.
      if (trx) void trx.executionPromise.then(keep, () => undefined);
      else keep();
    },
    failure: (key, error, trx) => run.failure({ key: ofRun(key), error }, trx),
  };
}

/** The keys that failed in this step: those of a later step than the first carry its number. */
function keysOfStep(keys: readonly JSONData[], number: string): JSONData[] {
  return keys.flatMap((key) => {
    const ofLater = isRecord(key) && typeof key.step === 'string' && key.key !== undefined ? { step: key.step, key: key.key } : undefined;
    if (ofLater) return ofLater.step === number ? [ofLater.key] : [];
    return number === '1' ? [key] : [];
  });
}

function stepsIn(cursor: JSONData | undefined): Steps {
  if (cursor === undefined || cursor === null) return {};
  const steps = isRecord(cursor) ? cursor.steps : undefined;
  if (!isRecord(steps) || !Object.values(steps).every(isStepState)) {
    throw new Error("The run's cursor was not saved by processInBatches. A job may use checkpoint() or processInBatches, not both; start the run anew.");
  }
  return { ...steps } as unknown as Steps;
}

const isRecord = (value: unknown): value is Record<string, JSONData | undefined> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const isStepState = (value: unknown): boolean =>
  isRecord(value) && value.position !== undefined && [value.processed, value.succeeded, value.failed].every(Number.isInteger);
