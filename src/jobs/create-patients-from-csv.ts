import { z } from 'zod';
import knex from '@commons/backend/lib/knex.js';
import logger from '@commons/backend/lib/logging.js';
import { isSource, nameOfSource, openSource } from '@commons/backend/lib/open-source.js';
import { processInBatches } from '@commons/backend/lib/process-in-batches.js';
import { readCsv } from '@commons/backend/lib/read-csv.js';
import { tryCurrentRun } from '@commons/backend/lib/run-scope.js';
import { findOrCreateAttributionUser } from '@commons/backend/models/user.js';
import { type CsvPatient, type PatientRow, readPatients, type RefusedRow } from '@commons/backend/jobs/helpers/patient-csv.js';
import type { JobConfig, ScriptHandler } from '@commons/backend/jobs/helpers.js';
import { StatusError } from '@commons/backend/jobs/helpers.js';

const TAG = 'create-patients-from-csv';

export const config: JobConfig = {
  description: 'Creates the patients of a CSV. Those whose externalId is on record already are left as they are.',
  timeout: '1h',
};

export const RequestBody = z
  .object({
    source: z
      .string()
      .max(2_000)
      .refine(isSource, 'must be an http(s) address without a password in it, or the path of a file')
      .optional()
      .describe('Where the CSV is: an http(s) address, or a file on the server, in data/ or SOURCE_FOLDER.'),
    csv: z.string().min(1).max(500_000).optional().describe('Or the CSV itself, up to 500,000 characters.').meta({ pii: true }),
    batchSize: z.number().int().min(1).max(1_000).optional().default(500).describe('Patients that one statement creates.'),
    isDryRun: z.boolean().optional().default(false).describe('Check every row against the others and the database, and create nobody.'),
  })
  .refine(({ source, csv }) => (source === undefined) !== (csv === undefined), 'must have either source or csv');

/** Failed rows that the result lists; all of them are counted, and kept with the run. */
const MOST_LISTED = 100;

/**
 * The header must name externalId, firstName, lastName and birthDate, and may name email, phone and zipCode. An externalId
 * that is on record is never written again: where all that the CSV says is there, the row is unchanged, else it is a
 * conflict. Patients get no market: that is for backfill-patient-markets.
 *
 * Counts rows: processed = succeeded + failed, succeeded = created + unchanged, failed = invalid + duplicates + conflicts.
 * What is said of a failed row is its line and the reason, never what its cells hold.
 * @throws {StatusError} 422 when the header is wrong, the CSV breaks off, or every row was refused; with the counts, and the rows that failed
 */
export const createPatientsFromCsv = async (body: unknown) => {
  const bodyResult = RequestBody.safeParse(body);
  if (!bodyResult.success) {
    logger.error(bodyResult.error, { tag: TAG });
    throw new StatusError(400, 'Invalid request body');
  }
  const { source, csv, batchSize, isDryRun } = bodyResult.data;
  const sourceName = source === undefined ? 'csv' : nameOfSource(source);
  const counts = { created: 0, unchanged: 0, invalid: 0, duplicates: 0, conflicts: 0 };
  const failedRows: { line: number; reason: string }[] = [];
  logger.log('Creating patients from a CSV', TAG, { source: sourceName, batchSize, isDryRun });

  const csvRows = readPatients(readCsv(source === undefined ? [Buffer.from(csv!)] : openSource(source, tryCurrentRun()?.signal)));
  const batches = await processInBatches({
    query: csvRows.rows,
    key: 'line',
    batchSize,
    isDryRun,
    // What the database does not take is no fault of the rows.
    stopOnError: true,
    // Where every row is refused, the run fails with the report of them.
    maxFailures: Infinity,
    batch: async (rows, _trx, context) => {
      const refuse = (row: PatientRow | RefusedRow, kind: 'invalid' | 'duplicates' | 'conflicts', reason: string) => {
        counts[kind]++;
        if (failedRows.length < MOST_LISTED) failedRows.push({ line: row.line, reason });
        context.fail(row, reason);
      };
      for (const row of rows) if ('reason' in row) refuse(row, row.kind, row.reason);
      for (let left = rows.filter((row) => 'patient' in row); left.length > 0; ) {
        const { fresh, unchanged, conflicts } = await compare(left);
        const created = isDryRun ? new Set(fresh.map(externalIdOf)) : await create(fresh);
        counts.created += created.size;
        counts.unchanged += unchanged.length;
        for (const { row, reason } of conflicts) refuse(row, 'conflicts', reason);
        // Whom another run has created in between: they are there now.
        left = fresh.filter((row) => !created.has(externalIdOf(row)));
      }
      logger.log(`Processed the rows up to line ${rows.at(-1)!.line}`, TAG, { isDryRun });
    },
  });
  const summary = { source: sourceName, ...batches, ...counts };
  const result = { ...summary, failedRows: failedRows.toSorted((a, b) => a.line - b.line) };
  if (batches.succeeded === 0 && batches.failed > 0 && !csvRows.fault()) throw new StatusError(422, { message: 'Every row was refused', ...result });
  if (csvRows.fault()) throw new StatusError(422, { message: `${csvRows.fault()} What came before was processed.`, ...result });
  logger.log('Job complete', TAG, summary);
  return result;
};

const externalIdOf = ({ patient }: PatientRow): string => patient.externalId;

/** Who is not on record yet, who is as the CSV says, and who is otherwise. */
async function compare(rows: readonly PatientRow[]) {
  const found: (CsvPatient & { deletedAt: Date | null })[] = await knex('patient')
    .whereIn('externalId', rows.map(externalIdOf))
    .select('externalId', 'firstName', 'lastName', 'email', 'phone', 'zipCode', 'deletedAt', knex.raw(`"birthDate"::text`));
  const known = new Map(found.map((patient) => [patient.externalId, patient]));
  const fresh: PatientRow[] = [];
  const unchanged: PatientRow[] = [];
  const conflicts: { row: PatientRow; reason: string }[] = [];
  for (const row of rows) {
    const patient = known.get(externalIdOf(row));
    const differing = patient && (Object.keys(row.patient) as (keyof CsvPatient)[]).filter((column) => patient[column] !== row.patient[column]);
    const conflict = (reason: string) => conflicts.push({ row, reason });
    if (!patient) fresh.push(row);
    else if (patient.deletedAt) conflict('the patient with this externalId was deleted');
    else if (differing!.length > 0) conflict(`the patient with this externalId differs in ${differing!.join(', ')}`);
    else unchanged.push(row);
  }
  return { fresh, unchanged, conflicts };
}

/** @returns the externalIds of those that it created: all but those that are on record by now */
async function create(rows: readonly PatientRow[]): Promise<Set<string>> {
  if (rows.length === 0) return new Set();
  const createdBy = await findOrCreateAttributionUser(TAG);
  const created: { externalId: string }[] = await knex('patient')
    // In the order of the externalIds: two runs at once wait for each other in the same order, so that neither deadlocks.
    .insert(rows.map(({ patient }) => ({ ...patient, source: 'csv', createdBy, updatedBy: createdBy })).toSorted((a, b) => (a.externalId < b.externalId ? -1 : 1)))
    .onConflict('externalId')
    .ignore()
    .returning('externalId');
  return new Set(created.map(({ externalId }) => externalId));
}

const main: ScriptHandler = async (req) => createPatientsFromCsv(req.body);
export default main;
