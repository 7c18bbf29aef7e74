import knex from '@commons/backend/lib/knex.js';
import { callJob, killServiceProcesses, startServiceProcess } from '../../helpers/service-process.js';

const NAMES = [
  'Cookie', 'Set-Cookie', 'Authorization', 'Proxy-Authorization', 'X-Serverless-Authorization', 'X-Goog-Iap-Jwt-Assertion', 'X-Api-Key', 'X-Goog-Api-Key', 'X-Csrf-Token', 'X-Amz-Security-Token', 'X-Forwarded-Access-Token',
];
/** The word is in every value, so that none of them needs to be known to be found. */
const HEADERS = Object.fromEntries(NAMES.map((name, at) => [name, name.endsWith('ookie') ? `sid=canary-${at}; theme="canary"` : `canary-${at}`]));
const MODES = ['return', 'return-much', 'log', 'throw', 'refuse'];

async function rowsWithCanary(): Promise<string[]> {
  const tables = await knex('information_schema.tables').where({ table_schema: 'public', table_type: 'BASE TABLE' }).pluck<string[]>('table_name');
  const rows = await Promise.all(tables.map((table) => knex(table).as('t').select(knex.raw('??::text as row', [table])).then((found: { row: string }[]) => found.map(({ row }) => `${table}: ${row}`))));
  return rows.flat().filter((row) => row.includes('canary')).map((row) => row.slice(0, 400));
}

beforeEach(() => knex('batch_job_run').delete());
afterEach(killServiceProcesses);

describe('the secrets in the headers of a call', () => {
  it('are in no row and no line of the log, whatever a job does with them', async () => {
    const service = await startServiceProcess({ AUTH: 'none' });
    const ids: string[] = [];
    for (const mode of MODES) {
      const answer = await callJob(service, 'returns-request', { mode }, HEADERS);
      ids.push(answer.headers.get('job-run-id')!);
      // The answer goes to whoever sent them.
      if (mode === 'return') expect(await answer.json()).toMatchObject({ headers: { cookie: HEADERS.Cookie } });
    }
    const told = await Promise.all(ids.flatMap((id) => [`/runs/${id}`, `/runs/${id}/logs`]).map(async (address) => (await fetch(service.url + address)).text()));
    expect(told.flatMap((text) => text.match(/.{0,200}canary.{0,40}/) ?? [])).toEqual([]);
    expect(await rowsWithCanary()).toEqual([]);
    expect(service.output().split('\n').filter((line) => line.includes('canary')).map((line) => line.slice(0, 400))).toEqual([]);
    // It is not that nothing was kept.
    expect(JSON.parse(told[0]!)).toMatchObject({ result: { headers: { cookie: '[Secret]', authorization: '[Secret]', 'content-type': 'application/json' } } });
  });
});
