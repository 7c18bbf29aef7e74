import { readFileSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import path from 'node:path';
import { openDatabase } from './harness/bench-database.js';
import { inProject } from './harness/paths.js';
import { ours, type ServerProcess, startServer } from './harness/server-process.js';
import { median, rounded } from './harness/statistics.js';
import { table } from './harness/table.js';

export interface ExportRosterResult {
  readonly patients: number;
  readonly rounds: number;
  readonly fileMb: number;
  /** The median of the rounds. */
  readonly rowsPerSecond: number;
  /** Of the service's process, ready and before its first export; undefined where the system does not say. */
  readonly rssBeforeMb: number | undefined;
  /** The most that the process ever held, in all rounds. */
  readonly rssPeakMb: number | undefined;
}

const SLUG = 'export-patient-roster';
const TARGET_ROWS_PER_SECOND = 50_000;
const TARGET_RSS_MB = 200;

/** The job export-patient-roster, as CSV into a folder, asked of the service by HTTP: its time, and the memory of the service's process. */
export async function exportRoster({ patients, rounds }: { patients: number; rounds: number }): Promise<ExportRosterResult> {
  // Apart from the other measurements: this one empties the tables.
  const dataFolder = inProject('.data/bench-export');
  const database = await openDatabase(dataFolder);
  try {
    const exports = path.join(dataFolder, 'exports');
    const command = ours(dataFolder, inProject('dist/jobs'));
    const server = await startServer({ ...command, env: { ...command.env, OBJECT_STORAGE: `file:${exports}` } });
    try {
      await server.ready;
      await fill(database, patients);
      const rssBeforeMb = peakRssMb(server);
      const speeds: number[] = [];
      for (let round = 0; round < rounds; round++) speeds.push(patients / (await secondsOfExport(server, patients)));
      const { size } = await stat(path.join(exports, 'bench.csv'));
      const [rowsPerSecond, rssPeakMb] = [median(speeds), peakRssMb(server)];
      return { patients, rounds, fileMb: rounded(size / 2 ** 20, 1), rowsPerSecond: Math.round(rowsPerSecond), rssBeforeMb, rssPeakMb };
    } finally {
      await server.stop();
    }
  } finally {
    await database.close();
  }
}

async function fill(database: Awaited<ReturnType<typeof openDatabase>>, patients: number): Promise<void> {
  await database.query('truncate patient, market cascade');
  await database.query(`insert into market (name, state) values ('Market 0', 'QA'), ('Market 1', 'QB')`);
  await database.query(`
    insert into patient ("externalId", "firstName", "lastName", "birthDate", email, phone, "zipCode", "marketId", source)
    select 'BENCH-' || n, 'First' || n, 'Last' || n, date '1940-01-01' + n % 25000, 'patient' || n || '@example.com', '+1212555' || lpad((n % 10000)::text, 4, '0'),
           lpad((n % 100000)::text, 5, '0'), (select id from market where state = case n % 2 when 0 then 'QA' else 'QB' end), 'synthetic'
      from generate_series(1, ${patients}) n`);
  await database.query('vacuum analyze patient');
  await database.query('checkpoint');
}

async function secondsOfExport({ url }: ServerProcess, patients: number): Promise<number> {
  const started = performance.now();
  const body = JSON.stringify({ format: 'csv', name: 'bench', overwrite: true });
  const answer = await fetch(`${url}/jobs/${SLUG}`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body });
  const seconds = (performance.now() - started) / 1_000;
  const text = await answer.text();
  if (!answer.ok || JSON.parse(text).rows !== patients) throw new Error(`${SLUG} answered ${answer.status}: ${text}`);
  return seconds;
}

/** What Linux says the process held at its most (proc(5), VmHWM). */
function peakRssMb({ pid }: ServerProcess): number | undefined {
  try {
    const [, kilobytes] = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
    return kilobytes === undefined ? undefined : rounded(Number(kilobytes) / 1_024, 1);
  } catch {
    return undefined;
  }
}

export function showExportRoster({ patients, rounds, fileMb, rowsPerSecond, rssBeforeMb, rssPeakMb }: ExportRosterResult): string {
  const verdict = (isReached: boolean) => (isReached ? 'reached' : 'MISSED');
  const megabytes = (value: number | undefined) => (value === undefined ? 'unknown' : `${value.toFixed(1)} MB`);
  return [
    `Export: ${patients.toLocaleString('en')} patients as a CSV of ${fileMb} MB, over HTTP, median of ${rounds} rounds\n`,
    table(['', 'figure', 'target'], [
      ['rows a second', rowsPerSecond.toLocaleString('en'), `at least ${TARGET_ROWS_PER_SECOND.toLocaleString('en')}: ${verdict(rowsPerSecond >= TARGET_ROWS_PER_SECOND)}`],
      ['resident memory of the service before', megabytes(rssBeforeMb), ''],
      ['at its most', megabytes(rssPeakMb), rssPeakMb === undefined ? '' : `under ${TARGET_RSS_MB} MB: ${verdict(rssPeakMb < TARGET_RSS_MB)}`],
    ]),
  ].join('\n');
}
