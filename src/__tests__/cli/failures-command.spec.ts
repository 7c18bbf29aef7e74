import { BatchJobRun } from '@commons/backend/models/batch-job-run.js';
import knex from '@commons/backend/lib/knex.js';
import { killCommands, startCommand } from '../helpers/command-line.js';

const job = (...args: string[]) => startCommand(args).ended;
const NO_RUN = '018f0000-0000-7000-8000-000000000000';
let id: string;
let lastLine: string;

beforeAll(async () => {
  const { code, stderr } = await job('run', 'own-loop', '--body', '{"failing":[3,7]}');
  expect(code).toBe(0);
  lastLine = stderr.trimEnd().split('\n').at(-1)!;
  id = (await BatchJobRun.list({ jobName: 'own-loop', limit: 1 }))[0]!.id;
});
afterEach(killCommands);

describe('a run in which items failed', () => {
  it('says so in the last line of the command, with where to see which', () => {
    expect(lastLine).toMatch(new RegExp(`^succeeded · run ${id} · [^·]+ · 2 items failed: npm run -s job -- failures ${id}$`));
  });

  it('says so in the lists, and by show', async () => {
    const [runs, list, show] = await Promise.all([job('runs', '--limit', '1'), job('list'), job('show', id)]);
    expect(runs.stdout).toMatch(new RegExp(`^${id} +own-loop +succeeded \\(2 items failed\\) `, 'm'));
    expect(list.stdout).toMatch(/^own-loop +ok +succeeded \S+Z \(2 items failed\)/m);
    expect(show.stdout).toMatch(new RegExp(`^failedItems +2 \\(which: npm run -s job -- failures ${id}\\)$`, 'm'));
  });
});

describe('failures', () => {
  it('prints the kinds, and then the items', async () => {
    const { code, stdout, stderr } = await job('failures', id);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const [kinds, items] = stdout.split('\n\n');
    expect(kinds).toMatch(/^ITEMS +KIND +MESSAGE OF THE FIRST\n2 +[0-9a-f]{12} +item 3 is no good$/);
    expect(items).toMatch(/^KEY +ATTEMPT +AT +KIND +MESSAGE\n3 +1 +\S+Z +[0-9a-f]{12} +item 3 is no good\n7 +1 +\S+Z +[0-9a-f]{12} +item 7 is no good\n$/);
  });

  it('gives the same as JSON and as CSV', async () => {
    const [json, csv, both] = await Promise.all([job('failures', id, '--json'), job('failures', id, '--csv'), job('failures', id, '--json', '--csv')]);
    expect(JSON.parse(json.stdout)).toMatchObject({ groups: [{ count: 2 }], failures: [{ key: 3 }, { key: 7 }] });
    expect(csv.stdout.split('\r\n').map((line) => line.split(',')[0])).toEqual(['key', '3', '7', '']);
    expect(both).toMatchObject({ code: 1, stdout: '', stderr: expect.stringContaining('give one of them') });
  });

  it('says when more failed than are kept, when none did, and when there is no such run', async () => {
    await knex('batch_job_run').where({ id }).update({ failedItems: 10_002 });
    expect(await job('failures', id)).toMatchObject({ code: 0, stderr: '10002 items failed, of which 2 are kept\n' });
    await knex('batch_job_run_failure').where({ runId: id }).delete();
    await knex('batch_job_run').where({ id }).update({ failedItems: 0 });
    expect(await job('failures', id)).toMatchObject({ code: 0, stdout: `no failed item of run ${id} is kept\n` });
    expect(await job('failures', NO_RUN)).toMatchObject({ code: 1, stderr: expect.stringMatching(/^error: there is no run/) });
    expect(await job('failures', 'newest')).toMatchObject({ code: 1, stderr: 'error: "newest" is no run\'s id. See: runs\n' });
  });
});
