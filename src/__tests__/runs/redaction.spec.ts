import { createHmac, randomBytes } from 'node:crypto';
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import knex from '@commons/backend/lib/knex.js';
import { BatchJobRun } from '@commons/backend/models/batch-job-run.js';
import { built, builtProgram } from '../helpers/built-program.js';
import { callJob, killServiceProcesses, type ServiceProcess, startServiceProcess } from '../helpers/service-process.js';
import { waitUntil } from '../helpers/wait-until.js';

const ROOT = path.resolve(__dirname, '../../..');
const JOBS = path.join(__dirname, '../fixtures/jobs');
const JOB = 'handles-patients';
const REDACTION_KEY = randomBytes(32).toString('base64');
const [OLD_KEY, NEW_KEY] = [randomBytes(32).toString('base64'), randomBytes(32).toString('base64')];
const KEYS = { REDACTION_KEY, BODY_KEYS: OLD_KEY };

/** The word CANARY is in every value, so that none of them needs to be known to be found. */
const CANARY = /canary|63616e617279|43414e415259|canar[^y]/i;
const PERSONAL = {
  phone: '+1 (555) 010-CANARY-99',
  patient: { name: 'Åsa "Canary" O\'Canary\nthe second Canary', address: { street: '12 Canary Road/5' } },
  byPhone: { '555-0100-canary': 1 },
  pin: 'canary-pin-0042',
  apiToken: 'canary-token',
};
const MODES = ['ok', 'logs', 'progress', 'throws', 'huge-error', 'status-error', 'accepts', 'returns', 'returns-much', 'fails-items', 'sub-runs', 'postgres', 'late'];

/** Every row of every table, as text: what is in there is in one of these. */
async function allRows(): Promise<string[]> {
  const tables = await knex('information_schema.tables').where({ table_schema: 'public', table_type: 'BASE TABLE' }).pluck<string[]>('table_name');
  expect(tables.length).toBeGreaterThan(8);
  const rows = await Promise.all(tables.map((table) => knex(table).as('t').select(knex.raw('??::text as row', [table])).then((found: { row: string }[]) => found.map(({ row }) => `${table}: ${row}`))));
  return rows.flat();
}

const withCanary = (lines: readonly string[]): string[] => lines.filter((line) => CANARY.test(line)).map((line) => line.slice(0, 300));
const run = (service: ServiceProcess, mode: string, more: object = {}) => callJob(service, JOB, { mode, ...PERSONAL, ...more });
const runId = (answer: Response): string => answer.headers.get('job-run-id')!;
const post = (service: ServiceProcess, address: string, body?: unknown) =>
  fetch(service.url + address, { method: 'POST', ...(body !== undefined && { headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) }) });
const sealed = async (id: string): Promise<Buffer | null> => ((await knex('batch_job_run').where({ id }).first('sealedBody')) as { sealedBody: Buffer | null }).sealedBody;

beforeEach(() => knex('batch_job_run').delete());
afterEach(killServiceProcesses);

describe.each([
  ['with keys, readable lines', { ...KEYS, DEPLOYMENT: 'local' }],
  ['without keys, structured lines', { DEPLOYMENT: 'production' }],
])('personal data in a body (%s)', (_, env) => {
  it('are in no row, no line of the log and no answer but the own one, whatever a job does with them', async () => {
    const service = await startServiceProcess(env);
    const ids = new Map<string, string>();
    for (const mode of MODES) {
      const answer = await run(service, mode);
      ids.set(mode, runId(answer));
      if (mode === 'returns') expect(await answer.json()).toMatchObject(PERSONAL);
    }
    // What fits no schema is recorded too: a patient in one text, a field that is misspelt, one that is too much for the JSON.
    for (const body of [{ mode: 'ok', patient: 'Canary, Ada' }, { mode: 'ok', phoneNumber: 'canary 1' }, { mode: 'never', phone: ['canary'] }, ['canary'], 'canary']) {
      ids.set(JSON.stringify(body), runId(await callJob(service, JOB, body)));
    }
    ids.set('unloadable', runId(await callJob(service, 'broken-top-level', PERSONAL)));
    const scheduled = { 'X-CloudScheduler-JobName': JOB, 'X-CloudScheduler-ScheduleTime': '2026-01-01T00:00:00Z' };
    for (const mode of ['throws', 'returns', 'returns']) ids.set('scheduled', runId(await callJob(service, JOB, { mode, ...PERSONAL }, scheduled)));
    await waitUntil('what was let go of is logged', async () => /after its end/.test(service.output()) && /nobody awaited/.test(service.output()));

    const addresses = ['/jobs', `/jobs/${JOB}`, '/runs?limit=500', '/audit', ...[...ids.values()].flatMap((id) => [`/runs/${id}`, `/runs/${id}/logs`, `/runs/${id}/failures`])];
    const answers = await Promise.all(addresses.map(async (address) => `${address} ${await (await fetch(service.url + address)).text()}`));
    expect(withCanary(answers)).toEqual([]);
    expect(withCanary(service.output().split('\n'))).toEqual([]);
    expect(withCanary(await allRows())).toEqual([]);
    // It is not that nothing was kept.
    expect(await BatchJobRun.find(ids.get('throws')!)).toMatchObject({ isBodyRedacted: true, error: { message: expect.stringMatching(/^could not call \[Personal\]/) } });
    expect(await BatchJobRun.find(ids.get('returns')!)).toMatchObject({ result: { phone: '[Personal]', mode: 'returns' } });
    expect(answers.find((answer) => answer.startsWith(`/runs/${ids.get('logs')}/logs`))).toMatch(/patient \[Personal\] of \[Personal\]/);
    expect(await knex('batch_job_run_log').where({ runId: ids.get('logs') })).toHaveLength(44);
    expect((await knex('batch_job').where('name', 'like', 'call %').pluck('name')) as string[]).toEqual(['call [Personal]']);
  });
});

describe('personal data in what nobody catches', () => {
  it('are not in the line that the service logs before it stops', async () => {
    const service = await startServiceProcess(KEYS);
    await run(service, 'uncaught');
    expect(await service.exited).toBe(1);
    expect(service.output()).toMatch(/nobody caught this exception/);
    expect(withCanary(service.output().split('\n'))).toEqual([]);
  });
});

describe('a token', () => {
  it('that a job logs is not in the log', async () => {
    const service = await startServiceProcess(KEYS);
    const token = `eyJhbGciOiJSUzI1NiJ9.${Buffer.from('{"email":"canary@example.com"}').toString('base64url')}.c2lnbmF0dXJl`;
    await callJob(service, JOB, { mode: 'logs', phone: '555-0100' }, { Authorization: `Bearer ${token}` });
    const lines = [...service.output().split('\n'), ...(await allRows())];
    expect(lines.some((line) => line.includes('[Secret]'))).toBe(true);
    expect(lines.filter((line) => line.includes('c2lnbmF0dXJl'))).toEqual([]);
  });
});

describe('on the command line', () => {
  const job = (env: NodeJS.ProcessEnv, ...args: string[]) =>
    new Promise<{ code: number | null; stdout: string; stderr: string }>((resolve) => {
      const child = spawn(process.execPath, builtProgram('src/cli.ts', ...args), {
        cwd: ROOT, env: { ...process.env, JOBS_FOLDER: built(JOBS), LOG_LEVEL: 'debug', NO_COLOR: '1', ...env }, stdio: ['ignore', 'pipe', 'pipe'],
      });
      const output = { stdout: '', stderr: '' };
      child.stdout.on('data', (part: Buffer) => (output.stdout += part.toString()));
      child.stderr.on('data', (part: Buffer) => (output.stderr += part.toString()));
      child.once('close', (code) => resolve({ code, ...output }));
    });
  const folder = mkdtempSync(path.join(os.tmpdir(), 'redaction-'));
  afterAll(() => rmSync(folder, { recursive: true }));
  const bodyFile = (body: object): string => {
    const file = path.join(folder, 'body.json');
    writeFileSync(file, JSON.stringify(body));
    return `@${file}`;
  };

  it('neither the lines of a run nor its rows hold them, and a run is started again with its body sent along', async () => {
    const ran = await job({}, 'run', JOB, '--body', bodyFile({ mode: 'logs', ...PERSONAL }));
    expect(ran).toMatchObject({ code: 0, stdout: '{"lines":44}\n' });
    expect(withCanary(ran.stderr.split('\n'))).toEqual([]);
    const failed = await job({}, 'run', JOB, '--body', bodyFile({ mode: 'throws', ...PERSONAL }));
    expect(withCanary([...failed.stderr.split('\n'), ...(await allRows())])).toEqual([]);
    const id = /· run (\S+)/.exec(failed.stderr)![1]!;
    expect(withCanary((await job({}, 'show', id)).stdout.split('\n'))).toEqual([]);
    expect(await job({}, 'retry', id)).toMatchObject({ code: 1, stderr: expect.stringContaining('send it along once more') });
    expect(await job({}, 'retry', id, '--body', bodyFile({ mode: 'ok', ...PERSONAL }))).toMatchObject({ code: 1, stderr: expect.stringContaining('another body') });
    expect(await job({}, 'resume', id, '--body', bodyFile({ mode: 'throws', ...PERSONAL }))).toMatchObject({ code: 1, stderr: expect.stringMatching(/failed · run/) });
    expect((await BatchJobRun.find(id))?.attempt).toBe(2);
  });
});

describe('the body of a run', () => {
  it('can be searched by value, with the key', async () => {
    const service = await startServiceProcess(KEYS);
    const [first, second] = [runId(await run(service, 'ok')), runId(await run(service, 'returns'))];
    await run(service, 'ok', { phone: 'another canary' });
    const hash = createHmac('sha256', REDACTION_KEY).update(PERSONAL.phone).digest('hex').slice(0, 32);
    const found = (await knex('batch_job_run').whereRaw(`body ->> 'phone' = ?`, [`pii:${hash}`]).orderBy('id').pluck('id')) as string[];
    expect(found).toEqual([first, second]);
    const { body } = (await BatchJobRun.find(first))!;
    expect(body).toMatchObject({ mode: 'ok', patient: { name: expect.stringMatching(/^pii:/) }, apiToken: '[Secret]' });
    expect(body).not.toHaveProperty('pin');
  });

  it('is kept sealed while the run may be started again, which then needs no other', async () => {
    const service = await startServiceProcess(KEYS);
    for (const verb of ['retry', 'resume']) {
      const id = runId(await run(service, 'throws'));
      expect(CANARY.test((await sealed(id))!.toString('latin1'))).toBe(false);
      expect((await post(service, `/runs/${id}/${verb}`)).status).toBe(500);
      expect(await BatchJobRun.find(id)).toMatchObject({ attempt: 2, status: 'failed', error: { message: expect.stringContaining('could not call [Personal] at [Personal]') } });
      expect([(await post(service, `/runs/${id}/${verb}`, { mode: 'throws', ...PERSONAL })).status, (await post(service, `/runs/${id}/${verb}`, null)).status]).toEqual([400, 400]);
    }
    expect(withCanary(await allRows())).toEqual([]);
  });

  it('opens with a key that was replaced and is still in the list, and not with one that is gone', async () => {
    const id = runId(await run(await startServiceProcess(KEYS), 'throws'));
    const rotated = await startServiceProcess({ REDACTION_KEY, BODY_KEYS: `${NEW_KEY},${OLD_KEY}` });
    expect((await post(rotated, `/runs/${id}/retry`)).status).toBe(500);
    const later = runId(await run(rotated, 'throws'));
    const without = await startServiceProcess({ REDACTION_KEY, BODY_KEYS: NEW_KEY });
    expect((await post(without, `/runs/${id}/retry`)).status).toBe(409);
    expect((await post(without, `/runs/${later}/retry`)).status).toBe(500);
  });

  it('is asked for where it was not kept, and another one is refused', async () => {
    const service = await startServiceProcess({ REDACTION_KEY });
    const id = runId(await run(service, 'throws'));
    expect(await sealed(id)).toBeNull();
    const asked = await post(service, `/runs/${id}/retry`);
    expect([asked.status, await asked.json()]).toEqual([409, expect.objectContaining({ detail: expect.stringContaining('send it along once more') })]);
    for (const other of [{ mode: 'throws', ...PERSONAL, phone: '555-0199' }, { mode: 'ok' }, { mode: 'throws', ...PERSONAL, isDryRun: true }, 'text', [], 5]) {
      const refused = await post(service, `/runs/${id}/retry`, other);
      expect([other, refused.status, await refused.text()]).toEqual([other, 400, expect.any(String)]);
    }
    expect((await BatchJobRun.find(id))?.attempt).toBe(1);
    expect((await post(service, `/runs/${id}/retry`, { mode: 'throws', ...PERSONAL })).status).toBe(500);
    expect(await BatchJobRun.find(id)).toMatchObject({ attempt: 2, error: { message: expect.stringContaining('could not call [Personal] at [Personal]') } });
  });

  it('is erased when the run has succeeded, and kept while items of it failed, in an earlier attempt too', async () => {
    const service = await startServiceProcess(KEYS);
    expect(await sealed(runId(await run(service, 'ok')))).toBeNull();
    const id = runId(await run(service, 'fails-items'));
    expect(await sealed(id)).not.toBeNull();
    const again = await post(service, `/runs/${id}/retry?only=failed`);
    expect([again.status, await BatchJobRun.find(runId(again))]).toEqual([200, expect.objectContaining({ parentRunId: id, isBodyRedacted: true })]);
    // As if it had been stopped, and is resumed to a good end: the failed item is still to be tried again.
    await knex('batch_job_run').where({ id }).update({ status: 'interrupted' });
    await knex('batch_job_run_failure').where({ runId: id }).update({ attempt: 0 });
    expect((await post(service, `/runs/${id}/resume`)).status).toBe(200);
    expect(await sealed(id)).not.toBeNull();
  });

  it('is erased BODY_RETENTION after the end of a run that failed', async () => {
    const service = await startServiceProcess({ ...KEYS, BODY_RETENTION: '1s', RUN_LEASE: '1s' });
    const id = runId(await run(service, 'throws'));
    await waitUntil('it is erased', async () => (await sealed(id)) === null);
    expect(service.output()).toMatch(/Erased the bodies of 1 run/);
    expect((await post(service, `/runs/${id}/retry`)).status).toBe(409);
  });
});
