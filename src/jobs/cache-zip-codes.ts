import { z } from 'zod';
import { decompress } from '@commons/backend/lib/decompress.js';
import knex from '@commons/backend/lib/knex.js';
import logger from '@commons/backend/lib/logging.js';
import { isSource, nameOfSource, openSource } from '@commons/backend/lib/open-source.js';
import { processInBatches } from '@commons/backend/lib/process-in-batches.js';
import { tryCurrentRun } from '@commons/backend/lib/run-scope.js';
import { splitLines } from '@commons/backend/lib/split-lines.js';
import type { ZipCode as ZipCodeRow } from '@commons/backend/models/tables.js';
import type { JobConfig, ScriptHandler } from '@commons/backend/jobs/helpers.js';
import { StatusError } from '@commons/backend/jobs/helpers.js';

const TAG = 'cache-zip-codes';

export const config: JobConfig = {
  description: 'Loads the US postal codes of GeoNames into zip_code. Writes only what is new or has changed.',
  timeout: '15m',
};

export const RequestBody = z.object({
  source: z
    .string()
    .max(2_000)
    .refine(isSource, 'must be an http(s) address without a password in it, or the path of a file')
    .optional()
    .default('data/geonames-us-postal-codes.txt.gz')
    .describe(
      'An http(s) address, such as https://download.geonames.org/export/zip/US.zip, or a file on the server, in data/ or '
        + 'SOURCE_FOLDER. ZIP, gzip or plain text. Default: the snapshot that comes with the service.',
    ),
  batchSize: z.number().int().min(1).max(5_000).optional().default(1_000).describe('Codes that one statement writes.'),
  isDryRun: z.boolean().optional().default(false).describe('Read and compare everything, and write nothing.'),
});

/** What zip_code holds of a line, beside its code. */
const COLUMNS = ['city', 'state', 'stateName', 'county', 'latitude', 'longitude'] as const;

type ZipCode = Pick<ZipCodeRow, 'code' | (typeof COLUMNS)[number]>;

/** A line of the source, and its number, from 1 on, which names it where it fails: what is in it may be anything. */
interface SourceLine {
  readonly line: number;
  readonly text: string;
}

/** Lines. succeeded = inserted + updated + unchanged + duplicates. */
interface Counts {
  inserted: number;
  updated: number;
  unchanged: number;
  /** Codes that an earlier line had. */
  duplicates: number;
}

export const cacheZipCodes = async (body: unknown) => {
  const bodyResult = RequestBody.safeParse(body);
  if (!bodyResult.success) {
    logger.error(bodyResult.error, { tag: TAG });
    throw new StatusError(400, 'Invalid request body');
  }
  const { source, batchSize, isDryRun } = bodyResult.data;
  const counts: Counts = { inserted: 0, updated: 0, unchanged: 0, duplicates: 0 };
  const isFirst = firstOfEachCode();

  logger.log(`Loading postal codes from ${nameOfSource(source)}`, TAG, { batchSize, isDryRun });
  const processed = await processInBatches({
    query: readLines(source),
    key: 'line',
    batchSize,
    isDryRun,
    // What the database does not take is no fault of the lines.
    stopOnError: true,
    // Where every line fails, it is told below what the source is.
    maxFailures: Infinity,
    batch: async (lines, _trx, context) => {
      const zipCodes: ZipCode[] = [];
      for (const each of lines) {
        const zipCode = parseLine(each.text);
        if (typeof zipCode === 'string') context.fail(each, `no postal code: ${zipCode}`);
        else if (isFirst(zipCode)) zipCodes.push(zipCode);
        else counts.duplicates++;
      }
      const { fresh, changed } = await compare(zipCodes);
      if (!context.isDryRun) await write([...fresh, ...changed]);
      counts.inserted += fresh.length;
      counts.updated += changed.length;
      counts.unchanged += zipCodes.length - fresh.length - changed.length;
      logger.log(`Processed the lines up to ${lines.at(-1)!.line}`, TAG, { isDryRun: context.isDryRun });
    },
  });
  const summary = { source: nameOfSource(source), ...processed, ...counts };
  // A page that says "moved" or an empty file must not pass for a load.
  if (processed.succeeded === 0) throw new StatusError(422, { message: 'The source holds no US postal code', ...summary });
  logger.log('Job complete', TAG, summary);
  return summary;
};

const MOST_LINE_CHARS = 2_000;

async function* readLines(source: string): AsyncGenerator<SourceLine> {
  let line = 0;
  for await (const text of splitLines(decompress(openSource(source, tryCurrentRun()?.signal)), MOST_LINE_CHARS)) yield { line: ++line, text };
}

/**
 * Of two lines with the same code the first wins. In GeoNames' file those of the states come first and the military ones
 * (APO, FPO), which know neither state nor county, last: 96860 is Pearl Harbor in Honolulu, Hawaii, and once more
 * "FPO AA". Which of them wins must not depend on where a batch ends, or every load would write both again; so all codes
 * that were seen are remembered, in one byte for each that there can be.
 */
function firstOfEachCode(): (zipCode: ZipCode) => boolean {
  const seen = new Uint8Array(100_000);
  return ({ code }) => {
    const wasSeen = seen[Number(code)] === 1;
    seen[Number(code)] = 1;
    return !wasSeen;
  };
}

/**
 * One line of GeoNames' format (https://download.geonames.org/export/zip/readme.txt), or what is wrong with it: country,
 * code, place, name and code of state, county and community, latitude, longitude, accuracy.
 */
function parseLine(line: string): ZipCode | string {
  const fields = line.split('\t');
  if (fields.length !== 12) return `${fields.length} columns in place of 12`;
  // Bytes that were no UTF-8 come as U+FFFD, and Postgres takes no NUL.
  if (/[\p{Cc}\uFFFD]/u.test(fields.join(''))) return 'a control character, or bytes that are no UTF-8';
  const [country, code, city, stateName, state, county, countyCode, , , latitude, longitude, accuracy] = fields as [
    string, string, string, string, string, string, string, string, string, string, string, string,
  ];
  if (country !== 'US') return 'country';
  if (!/^\d{5}$/.test(code)) return 'postal code';
  if (city.length < 1 || city.length > 180) return 'place';
  if (!/^([A-Z]{2})?$/.test(state) || stateName.length > 100 || (state === '') !== (stateName === '')) return 'state';
  if (!/^\d{0,3}$/.test(countyCode) || county.length > 100) return 'county';
  if (!isDegrees(latitude, 90)) return 'latitude';
  if (!isDegrees(longitude, 180)) return 'longitude';
  if (!/^[1-6]?$/.test(accuracy)) return 'accuracy';
  return {
    code,
    city,
    state: state || null,
    stateName: stateName || null,
    county: county || null,
    latitude: Number(latitude),
    longitude: Number(longitude),
  };
}

const isDegrees = (text: string, most: number): boolean => /^-?\d{1,3}(\.\d{1,10})?$/.test(text) && Math.abs(Number(text)) <= most;

/** Which of `batch` are not in the table, and which are there with other values. */
async function compare(batch: readonly ZipCode[]): Promise<{ fresh: ZipCode[]; changed: ZipCode[] }> {
  const rows: ZipCode[] = await knex('zip_code').select('code', ...COLUMNS).whereIn('code', batch.map(({ code }) => code));
  const known = new Map(rows.map((row) => [row.code, row]));
  return {
    fresh: batch.filter(({ code }) => !known.has(code)),
    changed: batch.filter((zipCode) => {
      const row = known.get(zipCode.code);
      return row && COLUMNS.some((column) => row[column] !== zipCode[column]);
    }),
  };
}

/** Writes what still differs: another run may have been here since it was compared. Harmless when repeated. */
async function write(zipCodes: readonly ZipCode[]): Promise<void> {
  if (zipCodes.length === 0) return;
  const incoming = Object.fromEntries(COLUMNS.map((column) => [column, knex.raw('excluded.??', [column])]));
  await knex('zip_code')
    // In the order of the codes: two runs at once lock the rows in the same order, so that neither deadlocks.
    .insert(zipCodes.toSorted((a, b) => (a.code < b.code ? -1 : 1)))
    .onConflict('code')
    .merge({ ...incoming, updatedAt: knex.fn.now() })
    .whereRaw(`${rowOf('zip_code')} is distinct from ${rowOf('excluded')}`);
}

const rowOf = (table: string): string => `(${COLUMNS.map((column) => `${table}."${column}"`).join(', ')})`;

const main: ScriptHandler = async (req) => cacheZipCodes(req.body);
export default main;
