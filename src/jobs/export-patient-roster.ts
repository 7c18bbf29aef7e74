import type { Knex } from 'knex';
import { z } from 'zod';
import { ObjectExistsError, openObjectStorage } from '@commons/backend/apis/object-storage/object-storage.js';
import { chunkAsyncIterable } from '@commons/backend/lib/chunk-async-iterable.js';
import { trackEvent } from '@commons/backend/lib/datadog.js';
import knex from '@commons/backend/lib/knex.js';
import logger from '@commons/backend/lib/logging.js';
import { tryCurrentRun } from '@commons/backend/lib/run-scope.js';
import type { JobConfig, ScriptHandler } from '@commons/backend/jobs/helpers.js';
import { StatusError } from '@commons/backend/jobs/helpers.js';
import { ROSTER_COLUMNS, type RosterRecord, rosterRow, type RosterWriter } from '@commons/backend/jobs/helpers/roster.js';
import { RosterCsv } from '@commons/backend/jobs/helpers/roster-csv.js';
import { RosterPdf } from '@commons/backend/jobs/helpers/roster-pdf.js';
import { uploadResultsToGCS } from '@commons/backend/jobs/shared/helpers.js';

const TAG = 'export-patient-roster';

export const config: JobConfig = {
  description:
    'Publishes the patients, or those of one market, as CSV or PDF in the object storage (OBJECT_STORAGE), and after it a manifest '
    + 'with its rows, bytes and sha256. The file shows one moment, and is there whole or not at all.',
  timeout: '1h',
  overlap: 'skip',
};

export const RequestBody = z.object({
  format: z.enum(['csv', 'pdf']).describe('csv: every column, for programs. pdf: pages to read and to print, in the order of names.'),
  marketState: z.string().regex(/^[A-Z]{2}$/).optional().describe("Only the patients of this state's market, such as MA. Default: all."),
  name: z
    .string()
    .max(200)
    .regex(/^[a-z0-9][a-z0-9._-]*(\/[a-z0-9][a-z0-9._-]*)*$/i, 'must be letters, digits, dots, dashes and underscores, in parts joined by slashes')
    .optional()
    .describe("The file's name without its ending. Default: patient-roster, the market's state if there is one, and today's date in UTC."),
  overwrite: z.boolean().optional().default(false).describe('Replace a file of that name and its manifest, instead of refusing it.'),
  limit: z.number().int().min(1).optional().describe('At most so many patients. Default: all.'),
  isDryRun: z.boolean().optional().default(false).describe('Make the whole file and measure it, and publish nothing.'),
});

/** Patients. processed = succeeded + failed, and the file holds those that succeeded. */
interface Counts {
  processed: number;
  succeeded: number;
  failed: number;
}

export const exportPatientRoster = async (body: unknown) => {
  const bodyResult = RequestBody.safeParse(body);
  if (!bodyResult.success) {
    logger.error(bodyResult.error, { tag: TAG });
    throw new StatusError(400, 'Invalid request body');
  }
  const { format, marketState, overwrite, isDryRun } = bodyResult.data;
  const name = `${bodyResult.data.name ?? defaultName(marketState)}.${format}`;
  const manifestName = `${name}.manifest.json`;
  if (!overwrite) await refuseExisting([name, manifestName]);

  logger.log(`Exporting ${name}`, TAG, { isDryRun });
  const counts: Counts = { processed: 0, succeeded: 0, failed: 0 };
  const { generatedAt, ...file } = await inSnapshot(async (trx) => {
    const { market, generatedAt } = await readHeading(trx, marketState);
    const writer = format === 'csv' ? new RosterCsv() : new RosterPdf({ title: `Patient roster: ${market}`, generatedAt });
    const content = render(selectPatients(trx, bodyResult.data), writer, counts);
    const { bytes, sha256 } = await uploadResultsToGCS({ name, content, contentType: writer.contentType, overwrite, isDryRun });
    return { generatedAt, rows: counts.succeeded, approximated: writer.approximated, bytes, sha256 };
  });

  if (!isDryRun) {
    const manifest = { name, format, marketState, columns: ROSTER_COLUMNS, ...file, failed: counts.failed, generatedAt, runId: tryCurrentRun()?.id };
    // Last, so that whoever finds a manifest finds the file that it describes; amid an overwriting, its sha256 says that it does not yet.
    await uploadResultsToGCS({ name: manifestName, content: `${JSON.stringify(manifest, undefined, 2)}\n`, contentType: 'application/json', overwrite });
    trackEvent({ title: 'Patient roster exported', text: `${name}: ${file.rows} patients, ${counts.failed} failed`, tags: { job: TAG, format } });
  }
  const summary = { isDryRun, ...counts, name, manifest: manifestName, ...file };
  logger.log('Job complete', TAG, summary);
  return summary;
};

const defaultName = (marketState: string | undefined): string =>
  ['patient-roster', ...(marketState ? [marketState] : []), new Date().toISOString().slice(0, 10)].join('-');

/** Before a million rows are read in vain; and the manifest too, which is published last. */
async function refuseExisting(names: readonly string[]): Promise<void> {
  const storage = openObjectStorage();
  for (const name of names) if (await storage.exists(name)) throw new ObjectExistsError(name);
}

/** All that `work` reads through its transaction is as of one moment, whatever is written meanwhile. */
const inSnapshot = <T>(work: (trx: Knex.Transaction) => Promise<T>): Promise<T> =>
  knex.transaction(work, { isolationLevel: 'repeatable read', readOnly: true });

async function readHeading(trx: Knex.Transaction, marketState: string | undefined): Promise<{ market: string; generatedAt: Date }> {
  const { rows } = await trx.raw<{ rows: { generatedAt: Date; name: string | null }[] }>(
    'select now() as "generatedAt", (select name from market where state = ?) as name', [marketState ?? null],
  );
  const { generatedAt, name } = rows[0]!;
  if (marketState && name === null) throw new StatusError(422, `There is no market of the state ${marketState}`);
  return { market: name ?? 'all markets', generatedAt };
}

/** Not more: what is made of a thousand at a time becomes garbage faster than it is collected, and costs 80 MB for no more speed. */
const ROWS_AT_ONCE = 200;

/** A cursor of the server's: no more rows are here than are worked on. */
function selectPatients(trx: Knex.Transaction, { format, marketState, limit }: z.infer<typeof RequestBody>): AsyncIterable<RosterRecord> {
  const query = trx('patient as p')
    .leftJoin('market as m', 'm.id', 'p.marketId')
    .whereNull('p.deletedAt')
    .select('p.id', 'p.externalId', 'p.lastName', 'p.firstName', 'p.phone', 'p.email', 'p.zipCode', 'p.status', 'm.name as market')
    .select(trx.raw('p."birthDate"::text'))
    .orderBy(format === 'pdf' ? ['p.lastName', 'p.firstName', 'p.id'] : ['p.id']);
  if (marketState) void query.where('m.state', marketState);
  if (limit !== undefined) void query.limit(limit);
  return query.stream({ highWaterMark: ROWS_AT_ONCE });
}

/** The file, piece by piece. A patient who cannot be rendered is counted and kept with the run, and does not stop the others. */
async function* render(patients: AsyncIterable<RosterRecord>, writer: RosterWriter, counts: Counts): AsyncGenerator<string | Uint8Array> {
  const run = tryCurrentRun();
  for await (const chunk of chunkAsyncIterable(patients, ROWS_AT_ONCE)) {
    run?.signal.throwIfAborted();
    for (const patient of chunk) {
      counts.processed++;
      try {
        writer.add(rosterRow(patient));
        counts.succeeded++;
      } catch (error) {
        counts.failed++;
        run?.failure({ key: patient.id, error });
        if (counts.failed <= MOST_LOGGED_FAILURES) logger.error(error, { tag: TAG, patientId: patient.id });
        if (counts.failed === MOST_LOGGED_FAILURES) logger.warn('Further patients who fail are counted, and kept with the run, but not logged', TAG);
      }
    }
    run?.progress({ ...counts });
    yield writer.take();
  }
  // An empty market has an empty roster; one of nobody but failures would pass for that.
  if (counts.succeeded === 0 && counts.failed > 0) throw new StatusError(422, { message: 'No patient could be rendered', ...counts });
  yield writer.end();
}

const MOST_LOGGED_FAILURES = 20;

const main: ScriptHandler = async (req) => exportPatientRoster(req.body);
export default main;
