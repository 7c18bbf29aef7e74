import { inProject } from './harness/paths.js';
import { median } from './harness/statistics.js';
import { table } from './harness/table.js';

export interface BackfillMarketsResult {
  readonly patients: number;
  /** Patients that are given a market: the others have no ZIP code. */
  readonly rows: number;
  readonly rounds: number;
  /** Rows a second, and the job's to the statement's, medians of the rounds. */
  readonly plain: number;
  readonly job: number;
  readonly ratio: number;
}

const SLUG = 'backfill-patient-markets';
const TARGET = 0.5;
const STATES = 50;
const ZIP_CODES = 40_000;
/** One patient of so many has no ZIP code. */
const WITHOUT_ZIP_CODE = 50;

/**
 * The job backfill-patient-markets in a recorded run, with its batches, locks, checkpoints and attribution, and one UPDATE ... FROM over
 * the same rows, in turns. Each begins with a table that was filled anew, vacuumed and checkpointed.
 */
export async function backfillMarkets({ patients, rounds }: { patients: number; rounds: number }): Promise<BackfillMarketsResult> {
  delete process.env.DATABASE_URL;
  // Apart from the other measurements: this one empties the tables.
  process.env.DATA_FOLDER = inProject('.data/bench-markets');
  process.env.LOG_LEVEL ??= 'warn';
  // Only now, since the pool reads the environment when it is loaded.
  const [{ default: knex }, { closeDatabase, connectionSettings }, { migrate }, { BatchJobRun }, { backfillPatientMarkets }] = await Promise.all([
    import('@commons/backend/lib/knex.js'),
    import('@commons/backend/lib/database/database.js'),
    import('@commons/backend/lib/database/migrate.js'),
    import('@commons/backend/models/batch-job-run.js'),
    import('@commons/backend/jobs/backfill-patient-markets.js'),
  ]);
  const rows = patients - Math.floor(patients / WITHOUT_ZIP_CODE);

  const plain = async (): Promise<number> => {
    const { rowCount } = await knex.raw<{ rowCount: number }>(`
      update patient set "marketId" = market.id, "updatedAt" = now(), "updatedBy" = (select id from "user" limit 1)
        from zip_code join market on market.state = zip_code.state
       where zip_code.code = patient."zipCode" and patient."marketId" is null and patient."deletedAt" is null`);
    return rowCount;
  };
  const job = async (): Promise<number> => {
    const { succeeded, skipped } = await BatchJobRun.trap(SLUG, () => backfillPatientMarkets({}));
    if (skipped.noZipCode !== patients - rows) throw new Error(`${skipped.noZipCode} patients were skipped in place of ${patients - rows}`);
    return succeeded;
  };

  const fill = async (): Promise<void> => {
    await knex.raw('truncate patient cascade');
    await knex.raw(`
      insert into patient ("externalId", "firstName", "lastName", "birthDate", "zipCode", source)
      select 'BENCH-' || n, 'First' || n, 'Last' || n, date '1940-01-01' + n % 25000,
             case when n % ${WITHOUT_ZIP_CODE} > 0 then lpad((n % ${ZIP_CODES})::text, 5, '0') end, 'synthetic'
        from generate_series(1, ${patients}) n`);
    await knex.raw('vacuum analyze patient');
    await knex.raw('checkpoint');
  };

  /** Rows a second. */
  const speedOf = async (work: () => Promise<number>): Promise<number> => {
    await fill();
    const started = performance.now();
    const done = await work();
    const seconds = (performance.now() - started) / 1_000;
    const [{ count }] = (await knex('patient').whereNotNull('marketId').count()) as [{ count: string }];
    if (done !== rows || Number(count) !== rows) throw new Error(`${done} rows were reported and ${count} written in place of ${rows}`);
    return rows / seconds;
  };

  try {
    await migrate({ connection: await connectionSettings(), folder: inProject('src/models/migrations'), importFile: (file) => import(file) });
    await knex.raw(`
      truncate patient, market, zip_code, "user" cascade;
      insert into "user" (email, "firstName", "lastName", role) values ('bench@jobs.invalid', 'Job', 'bench', 'attribution');
      insert into market (name, state) select 'Market ' || n, chr(65 + n / 26) || chr(65 + n % 26) from generate_series(0, ${STATES - 1}) n;
      insert into zip_code (code, city, state, "stateName", latitude, longitude)
        select lpad(n::text, 5, '0'), 'City', chr(65 + n % ${STATES} / 26) || chr(65 + n % ${STATES} % 26), 'State', 40, -74
          from generate_series(0, ${ZIP_CODES - 1}) n;
      analyze market, zip_code`);
    const speeds: { plain: number; job: number }[] = [];
    for (let round = 0; round < rounds; round++) speeds.push({ plain: await speedOf(plain), job: await speedOf(job) });
    await knex.raw('truncate patient cascade');
    return {
      patients,
      rows,
      rounds,
      plain: median(speeds.map((speed) => speed.plain)),
      job: median(speeds.map((speed) => speed.job)),
      ratio: median(speeds.map((speed) => speed.job / speed.plain)),
    };
  } finally {
    await closeDatabase();
  }
}

export function showBackfillMarkets({ patients, rows, rounds, plain, job, ratio }: BackfillMarketsResult): string {
  const line = (name: string, speed: number) => [name, Math.round(speed).toLocaleString('en'), (rows / speed).toFixed(1)];
  return [
    `${SLUG}: ${patients.toLocaleString('en')} patients, of whom ${rows.toLocaleString('en')} get a market, medians of ${rounds} rounds\n`,
    table(['', 'rows/s', 'seconds'], [line('one UPDATE ... FROM', plain), line('the job, 1,000 a transaction', job)]),
    `\nThe job to the statement: ${ratio.toFixed(2)} (target ${TARGET}: ${ratio >= TARGET ? 'reached' : 'MISSED'})`,
  ].join('\n');
}
