import { z } from 'zod';
import knex from '@commons/backend/lib/knex.js';
import logger from '@commons/backend/lib/logging.js';
import { EveryItemFailed, processInBatches } from '@commons/backend/lib/process-in-batches.js';
import { findOrCreateAttributionUser } from '@commons/backend/models/user.js';
import type { JobConfig, ScriptHandler } from '@commons/backend/jobs/helpers.js';
import { StatusError } from '@commons/backend/jobs/helpers.js';
import { applySyncStep, MappingConflict } from '@commons/backend/jobs/helpers/apply-clinician-sync.js';
import { type ClinicianDirectory, DirectoryConflict, openClinicianDirectory } from '@commons/backend/jobs/helpers/clinician-directory.js';
import { type LocalMapping, planSync, type SyncStep } from '@commons/backend/jobs/helpers/clinician-sync-plan.js';

const TAG = 'sync-clinician-mappings';

export const config: JobConfig = {
  description:
    'Keeps clinician_mapping and the clinician directory (CLINICIAN_DIRECTORY_URL) in step, both ways: what changed on one side goes to '
    + 'the other, and what changed on both is reported and left to a person. Without a directory, preview shows a small bundled one.',
  timeout: '30m',
  overlap: 'skip',
};

const isDryRun = z.boolean().optional().default(false).describe('Compare both sides, and write to neither.');

export const RequestBody = z.discriminatedUnion('mode', [
  z.object({
    mode: z.literal('preview').describe('Compares both sides and says what apply-all would do.'),
    isDryRun: z.literal(true).optional().default(true).describe('A preview always is a dry run.'),
  }),
  z.object({ mode: z.literal('apply-all').describe('Does it for all.'), isDryRun }),
  z
    .object({
      mode: z.literal('apply-single').describe('Does it for one clinician.'),
      npi: z.string().regex(/^\d{10}$/).optional().describe('The National Provider Identifier of the one clinician.'),
      mappingId: z.uuid().optional().describe('In place of the NPI: the id of the clinician_mapping.'),
      prefer: z.enum(['local', 'remote']).optional().describe("Which side's name and e-mail win where both have changed. Default: neither."),
      isDryRun,
    })
    .refine(({ npi, mappingId }) => (npi === undefined) !== (mappingId === undefined), 'must name one clinician: by npi or by mappingId'),
]);

type Body = z.infer<typeof RequestBody>;

/** One clinician in the result: ids and what happened, or in a dry run would happen. Names and addresses are on no record. */
type ReportLine = {
  npi: string;
  mappingId: string | null;
  externalId: string | null;
  action: SyncStep['action'] | 'failed';
  reason: string | null;
};

/** So many failures in a row of thousands are the directory's, and not each clinician's. */
const MOST_FAILURES = 20;
const MOST_REPORTED = 1_000;

export const syncClinicianMappings = async (body: unknown) => {
  const bodyResult = RequestBody.safeParse(body);
  if (!bodyResult.success) {
    logger.error(bodyResult.error, { tag: TAG });
    throw new StatusError(400, 'Invalid request body');
  }
  const { mode, isDryRun } = bodyResult.data;
  const directory = openClinicianDirectory();
  if (directory.isReadOnly && !isDryRun) {
    throw new StatusError(500, 'There is no clinician directory to write to: set CLINICIAN_DIRECTORY_URL, and CLINICIAN_DIRECTORY_TOKEN. Without one there is only the mode preview.');
  }

  logger.log(`Starting ${mode}`, TAG, { isDryRun });
  const { steps, unreadable } = await compare(directory);
  const entries = pick(steps, bodyResult.data).map((step) => ({ step, line: lineOf(step), npi: (step.local ?? step.remote).npi }));
  if (!isDryRun) await apply(entries, directory);
  const lines = entries.map(({ line }) => line);
  const result = summarise(lines, mode === 'apply-single' ? 0 : unreadable);
  const reported = lines.filter(({ action }) => action !== 'none');
  const report = { isDryRun, mode, ...result, items: reported.slice(0, MOST_REPORTED), itemsLeftOut: Math.max(0, reported.length - MOST_REPORTED) };
  if (result.failed > 0 && result.failed === result.processed) throw new StatusError(502, { message: 'Not one clinician could be brought into step', ...report });
  logger.log('Job complete', TAG, { isDryRun, ...result });
  return report;
};

async function compare(directory: ClinicianDirectory): Promise<{ steps: SyncStep[]; unreadable: number }> {
  const { clinicians, unreadable } = await directory.list();
  const locals = await knex('clinician_mapping').select<LocalMapping[]>('id', 'npi', 'externalId', 'displayName', 'email', 'syncedState').orderBy('id');
  const users = await knex('user as u')
    .leftJoin('clinician_mapping as m', 'm.userId', 'u.id')
    .where('u.role', 'clinician')
    .whereNull('m.id')
    .select<{ id: string; email: string }[]>('u.id', 'u.email');
  return { steps: planSync(locals, clinicians, new Map(users.map((user) => [user.email, user]))), unreadable };
}

/** The steps that `body` asks for. @throws {StatusError} 404 when there is no such clinician on either side */
function pick(steps: readonly SyncStep[], body: Body): readonly SyncStep[] {
  if (body.mode !== 'apply-single') return steps;
  const step = steps.find(({ local, remote }) => (body.mappingId ? local?.id === body.mappingId : (local ?? remote)?.npi === body.npi));
  if (!step) throw new StatusError(404, 'There is no such clinician, neither here nor in the directory');
  if (step.action !== 'conflict' || !body.prefer || step.local.npi !== step.remote.npi) return [step];
  return [{ action: body.prefer === 'local' ? 'push' : 'pull', local: step.local, remote: step.remote }];
}

interface Entry {
  readonly step: SyncStep;
  readonly line: ReportLine;
  readonly npi: string;
}

const TO_DO: ReadonlySet<string> = new Set<SyncStep['action']>(['link', 'push', 'pull', 'create', 'adopt']);

/** Does the steps that need no person, each by itself, and writes into their lines what became of them. */
async function apply(entries: readonly Entry[], directory: ClinicianDirectory): Promise<void> {
  const open = entries.filter(({ step }) => TO_DO.has(step.action));
  if (open.length === 0) return;
  const by = await findOrCreateAttributionUser(TAG);
  const applying = processInBatches({
    query: open,
    key: 'npi',
    concurrency: 4,
    batchSize: 100,
    maxFailures: MOST_FAILURES,
    each: async ({ step, line }) => {
      try {
        await applySyncStep(step, directory, by);
      } catch (error) {
        const isConflict = error instanceof DirectoryConflict || error instanceof MappingConflict;
        line.action = isConflict ? 'conflict' : 'failed';
        line.reason = isConflict || error instanceof StatusError ? error.message : 'It could not be written; see the log.';
        if (!isConflict) throw error;
      }
    },
  });
  // Those that there was nothing to do for count too: whether the run failed is seen in all of the report.
  await applying.catch((error: unknown) => {
    if (!(error instanceof EveryItemFailed)) throw error;
  });
}

const lineOf = (step: SyncStep): ReportLine => ({
  npi: (step.local ?? step.remote).npi,
  mappingId: step.local?.id ?? null,
  externalId: step.remote?.id ?? step.local?.externalId ?? null,
  action: step.action,
  reason: 'reason' in step ? step.reason : null,
});

/** processed = succeeded + failed + forPeople. */
function summarise(lines: readonly ReportLine[], unreadable: number) {
  const count = (action: ReportLine['action']) => lines.filter((line) => line.action === action).length;
  const [conflicts, gone, unknown] = [count('conflict'), count('gone'), count('unknown')];
  const [processed, failed, forPeople] = [lines.length + unreadable, count('failed') + unreadable, conflicts + gone + unknown];
  const [unchanged, linked, pushed, pulled, created, adopted] = [count('none'), count('link'), count('push'), count('pull'), count('create'), count('adopt')];
  return { processed, succeeded: processed - failed - forPeople, failed, forPeople, unchanged, linked, pushed, pulled, created, adopted, conflicts, gone, unknown, unreadable };
}

const main: ScriptHandler = async (req) => syncClinicianMappings(req.body);
export default main;
