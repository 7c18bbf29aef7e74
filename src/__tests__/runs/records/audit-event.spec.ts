import { execFile } from 'node:child_process';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import request from 'supertest';
import { readAuthConfig } from '@commons/backend/lib/auth/auth-config.js';
import { createAuthenticator } from '@commons/backend/lib/auth/authenticator.js';
import knex from '@commons/backend/lib/knex.js';
import { type AuditEvent, listAuditEvents } from '@commons/backend/runs/records/audit-event.js';
import { built, builtProgram } from '../../helpers/built-program.js';
import { killServiceProcesses } from '../../helpers/service-process.js';
import { testApp, testRegistry } from '../../helpers/test-app.js';
import { AUDIENCE, startTokenIssuer, type TokenIssuer } from '../../helpers/token-issuer.js';
import { untilRunning } from '../../helpers/until-running.js';
import { waitUntil } from '../../helpers/wait-until.js';

const ROOT = path.resolve(__dirname, '../../../..');
const FIXTURE_JOBS = path.join(__dirname, '../../fixtures/jobs');

let google: TokenIssuer;
let app: ReturnType<typeof testApp>;
/** The newest entry before the test began. */
let since: string | undefined;

beforeAll(async () => {
  google = await startTokenIssuer();
  const env: Record<string, string> = {
    AUTH: 'google', AUTH_AUDIENCES: AUDIENCE, AUTH_JWKS_URL: google.jwksUrl,
    AUTH_CALLERS: 'caller@example.com', AUTH_VIEWERS: 'viewer@example.com', AUTH_AUDITORS: 'auditor@example.com',
  };
  const config = readAuthConfig((name, read) => (env[name] === undefined ? undefined : read(env[name])), (fault) => { throw new Error(fault); });
  app = testApp(testRegistry(), { authenticate: createAuthenticator(config) });
});
afterAll(() => google.close());
beforeEach(async () => void (since = (await listAuditEvents({ limit: 1 }))[0]?.id));
afterEach(killServiceProcesses);

const as = async (name: string) => ({ Authorization: `Bearer ${await google.sign({ email: `${name}@example.com` })}` });
const post = async (address: string, body: object = {}, name = 'caller') => request(app).post(address).set(await as(name)).send(body);
const get = async (address: string, name: string) => request(app).get(address).set(await as(name));
const entries = async (): Promise<AuditEvent[]> => (await listAuditEvents({ limit: 500 })).filter(({ id }) => since === undefined || id > since);
/** Refusals are written beside their answers. */
const untilEntries = (count: number) => waitUntil(`there are ${count} entries`, async () => ((await entries()).length >= count ? entries() : undefined));

const BY_CALLER = { outcome: 'allowed', caller: 'caller@example.com', isVerified: true, source: expect.stringContaining('127.0.0.1'), status: null, reason: null, at: expect.any(Date) };

describe('the audit trail', () => {
  it('has every run, with who asked for it and from where, under the run\'s own id', async () => {
    const runId = (await post('/jobs/echo', { a: 1 })).headers['job-run-id'];
    expect(await entries()).toEqual([{ ...BY_CALLER, id: runId, action: 'run', jobName: 'echo', runId }]);
  });

  it('has a run that is alone, one that is skipped, and a scheduler\'s delivery', async () => {
    const alone = (await post('/jobs/runs-alone')).headers['job-run-id'];
    const waiting = post('/jobs/runs-alone', { wait: true });
    const { id: active } = await untilRunning('runs-alone');
    const skipped = (await post('/jobs/runs-alone')).headers['job-run-id'];
    await post(`/runs/${active}/cancel`);
    await waiting;
    const delivered = await request(app).post('/jobs/echo').set({ ...(await as('caller')), 'X-CloudScheduler-JobName': 'echo', 'X-CloudScheduler-ScheduleTime': '2026-11-23T06:00:00Z' }).send({});
    const runs = (await entries()).filter(({ action }) => action === 'run').map(({ runId }) => runId);
    expect(new Set(runs)).toEqual(new Set([alone, active, skipped, delivered.headers['job-run-id']]));
  });

  it('has rehearsals, cancellations, retries and resumptions, each with its run', async () => {
    const failed = (await post('/jobs/throws', { status: 409, data: 'no' })).headers['job-run-id'];
    await post(`/runs/${failed}/retry`);
    await post(`/runs/${failed}/resume`);
    await post(`/runs/${failed}/cancel`);
    await post('/jobs/runs-alone/rehearse');
    const acts = (await entries()).map(({ action, runId, jobName }) => [action, runId === failed ? 'that run' : typeof runId, jobName]);
    expect(acts.toReversed()).toEqual([
      ['run', 'that run', 'throws'],
      ['retry', 'that run', 'throws'],
      ['resume', 'that run', 'throws'],
      ['cancel', 'that run', 'throws'],
      ...Array.from({ length: 3 }, () => ['rehearse', 'string', 'runs-alone']),
    ]);
    expect((await entries()).every(({ caller }) => caller === 'caller@example.com')).toBe(true);
  });

  it('has what was refused, with the status and the reason, and who it was as far as that is known', async () => {
    const ID = '01900000-0000-7000-8000-000000000000';
    await request(app).post('/jobs/echo').send({});
    await post(`/runs/${ID}/cancel`, {}, 'viewer');
    await post('/jobs/for-some', {}, 'caller');
    await get('/audit', 'viewer');
    const refused = (await untilEntries(4)).filter(({ outcome }) => outcome === 'denied').map(({ action, caller, status, jobName, runId }) => [action, caller, status, jobName, runId]);
    expect(refused).toEqual(expect.arrayContaining([
      ['run', null, 401, 'echo', null],
      ['cancel', 'viewer@example.com', 403, null, ID],
      ['run', 'caller@example.com', 403, 'for-some', null],
      ['audit', 'viewer@example.com', 403, null, null],
    ]));
    expect((await entries()).filter(({ outcome }) => outcome === 'denied').every(({ reason }) => (reason ?? '').length > 20)).toBe(true);
  });

  it('cannot be changed, not by the database\'s owner either', async () => {
    await post('/jobs/echo');
    const before = await entries();
    await expect(knex('audit_event').update({ caller: 'somebody@example.com' })).rejects.toThrow(/append-only/);
    await expect(knex('audit_event').delete()).rejects.toThrow(/append-only/);
    await expect(knex.raw('truncate audit_event')).rejects.toThrow(/append-only/);
    expect(await entries()).toEqual(before);
  });

  it('lets nothing be done that it cannot have: no entry, no run', async () => {
    await knex.raw('alter table audit_event add constraint nobody check (false) not valid');
    try {
      for (const [address, body] of [['/jobs/echo', {}], ['/jobs/runs-alone', {}]] as const) {
        const answer = await post(address, body);
        expect([address, answer.status >= 500]).toEqual([address, true]);
      }
      expect(await knex('batch_job_run').where({ status: 'running' })).toEqual([]);
    } finally {
      await knex.raw('alter table audit_event drop constraint nobody');
    }
    expect(await entries()).toEqual([]);
  });
});

describe('GET /audit', () => {
  it('is for auditors alone, filters and pages, and has its own readers in it', async () => {
    const ids = [];
    for (let n = 0; n < 3; n++) ids.push((await post('/jobs/echo')).headers['job-run-id']);
    for (const name of ['caller', 'viewer']) expect((await get('/audit', name)).status).toBe(403);
    const first = await get('/audit?action=run&caller=Caller@example.com&outcome=allowed&limit=2', 'auditor');
    expect(first.body.events.map(({ runId }: AuditEvent) => runId)).toEqual([ids[2], ids[1]]);
    const next = /^<([^>]+)>; rel="next"$/.exec(first.headers.link!)![1]!;
    expect((await get(next, 'auditor')).body.events[0].runId).toBe(ids[0]);
    expect((await get(`/audit?run=${ids[1]}`, 'auditor')).body.events).toMatchObject([{ runId: ids[1] }]);
    expect((await entries()).filter(({ action, outcome }) => action === 'audit' && outcome === 'allowed')).toHaveLength(3);
  });

  it.each(['outcome=maybe', 'run=1', 'before=x', 'limit=0', 'limit=501', 'who=me', 'caller=a&caller=b'])('answers 400 to ?%s', async (query) => {
    expect((await get(`/audit?${query}`, 'auditor')).status).toBe(400);
  });
});

describe('the command line', () => {
  const job = async (...args: string[]) =>
    (await promisify(execFile)(process.execPath, builtProgram('src/cli.ts', ...args), { cwd: ROOT, env: { ...process.env, JOBS_FOLDER: built(FIXTURE_JOBS), NO_COLOR: '1' } })).stdout;

  it('is in the trail by its user and its machine, and prints it', async () => {
    await job('run', 'echo', '--body', '{"a": 1}');
    const [entry] = await entries();
    expect(entry).toMatchObject({ action: 'run', outcome: 'allowed', caller: os.userInfo().username, isVerified: false, source: `command line on ${os.hostname()}`, jobName: 'echo' });
    const printed = await job('audit', '--run', entry!.runId!);
    expect(printed).toMatch(/ACTION +OUTCOME/);
    expect(printed).toContain(`${os.userInfo().username} (not verified)`);
    expect(JSON.parse(await job('audit', '--action', 'run', '--limit', '1', '--json'))).toMatchObject([{ id: entry!.id }]);
  });
});
