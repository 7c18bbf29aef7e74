import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import knex from '@commons/backend/lib/knex.js';
import { cannotBeLoaded } from '@commons/backend/lib/job-files/module.js';
import { loadFaultForViewers } from '@commons/backend/lib/job-files/load-fault.js';
import { builtProgram } from '../../helpers/built-program.js';
import { callJob, killServiceProcesses, startServiceProcess } from '../../helpers/service-process.js';

const ROOT = path.resolve(__dirname, '../../../..');
const SECRETS = { password: 'hunter2secret', token: 'ya29.a0AfH6SMBx1234567890abcdef', email: 'jane.doe@patients.example', word: 'bareword99' };
/** Those that are known for what they are wherever they stand. */
const KNOWN = ['password', 'token'];
const FILES: Record<string, string> = {
  'throws-secrets.mjs': `// A job that is configured wrongly.
const name = 'db';
throw new RangeError('no connection to postgres://admin:${SECRETS.password}@db.internal:5432/app with Authorization: Bearer ${SECRETS.token} for ${SECRETS.email}');
`,
  'throws-status.mjs': `
export default async () => 1;
throw Object.assign(new Error('postgres://admin:${SECRETS.password}@db/x ${SECRETS.email}'), { status: 400, data: 'Bearer ${SECRETS.token}', name: 'postgres://admin:${SECRETS.password}@db', code: '${SECRETS.word}' });
`,
  'throws-text.mjs': `throw 'postgres://admin:${SECRETS.password}@db/x Bearer ${SECRETS.token} ${SECRETS.email}';\n`,
  'bad-syntax.mjs': `const url = 'postgres://admin:${SECRETS.password}@db/x ${SECRETS.email}' Bearer;\n`,
  'bad-import.mjs': `import '${`./${SECRETS.email}/${SECRETS.word}.mjs`}';\n`,
  'bad-config.mjs': `export default async () => 1;\nexport const config = { timeout: 'Bearer ${SECRETS.token}', callers: ['${SECRETS.word}'] };\n`,
};
const SLUGS = Object.keys(FILES).map((file) => path.parse(file).name);

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'broken-jobs-'));
  for (const [file, text] of Object.entries(FILES)) writeFileSync(path.join(folder, file), text);
});
afterAll(() => rmSync(folder, { recursive: true }));
afterEach(killServiceProcesses);

const secretsIn = (text: string): string[] => Object.entries(SECRETS).filter(([, secret]) => text.includes(secret)).map(([name]) => name);

describe('a job whose file cannot be loaded, and says secrets as it fails', () => {
  it('shows none of them to viewers, in the catalogue, on its own page or in the answer to a call; the row and the log hold no credentials', async () => {
    const service = await startServiceProcess({ JOBS_FOLDER: folder, LOG_LEVEL: 'debug' });
    const read = async (address: string) => (await fetch(service.url + address)).text();
    const catalogue = await read('/jobs');
    expect(JSON.parse(catalogue).jobs.map(({ slug, status }: { slug: string; status: string }) => `${slug} ${status}`)).toEqual(SLUGS.toSorted().map((slug) => `${slug} broken`));
    expect([secretsIn(catalogue), catalogue.includes(folder)]).toEqual([[], false]);
    for (const slug of SLUGS) {
      const page = await read(`/jobs/${slug}`);
      expect([slug, secretsIn(page), page.includes(folder)]).toEqual([slug, [], false]);
      const answer = await callJob(service, slug);
      expect([slug, answer.status, secretsIn(await answer.text())]).toEqual([slug, 500, []]);
    }
    const rows = JSON.stringify([await knex('batch_job_run'), await knex('batch_job_run_log')]);
    expect(secretsIn(rows + service.output()).filter((name) => KNOWN.includes(name))).toEqual([]);
  });

  it('says the kind of error and where', async () => {
    const service = await startServiceProcess({ JOBS_FOLDER: folder });
    const { jobs } = (await (await fetch(`${service.url}/jobs`)).json()) as { jobs: { slug: string; error: string }[] };
    const errors = new Map(jobs.map(({ slug, error }) => [slug, error.split('. The log')[0]]));
    expect(errors.get('throws-secrets')).toBe('throws-secrets.mjs cannot be loaded: RangeError at throws-secrets.mjs:3');
    expect(errors.get('throws-status')).toMatch(/^throws-status\.mjs cannot be loaded: Error at throws-status\.mjs:3$/);
    expect(errors.get('throws-text')).toBe('throws-text.mjs cannot be loaded: something was thrown that is no Error');
    expect(errors.get('bad-syntax')).toMatch(/^bad-syntax\.mjs cannot be loaded: \w+/);
    expect(errors.get('bad-import')).toBe('bad-import.mjs cannot be loaded: Error (ERR_MODULE_NOT_FOUND)');
  });

  it('shows the reason in the terminal, without passwords and tokens', async () => {
    const job = (...args: string[]) => new Promise<string>((resolve) => {
      const child = spawn(process.execPath, builtProgram('src/cli.ts', ...args), { cwd: ROOT, env: { ...process.env, JOBS_FOLDER: folder, NO_COLOR: '1', LOG_LEVEL: 'debug' } });
      let text = '';
      for (const stream of [child.stdout, child.stderr]) stream.on('data', (part: Buffer) => (text += part.toString()));
      child.once('close', () => resolve(text));
    });
    for (const text of [await job('list'), await job('list', '--json'), await job('run', 'throws-secrets', '--help'), await job('run', 'throws-secrets')]) {
      expect(text).toContain('no connection to postgres://[Secret]@db.internal:5432/app');
      expect(text).not.toContain(SECRETS.password);
      expect(text).not.toContain(SECRETS.token);
    }
  });
});

it('nothing that a file throws is told but its kind and line, whatever it is', () => {
  const text = fc.constantFrom('S3cretValue', 'S3cretValueError', 'ERR_S3CRETVALUE', 'postgres://u:S3cretValue@h', 'odd.ts:S3cretValue', 'odd.ts:12345678901');
  const thrown = fc.oneof(text, fc.constant(null), fc.record({ name: text, message: text, code: text, stack: text }).map((fields) => Object.assign(new Error('x'), fields)), fc.record({ message: text, stack: text }));
  fc.assert(fc.property(thrown, (own) => {
    const told = loadFaultForViewers(cannotBeLoaded(`/srv/odd.ts cannot be loaded: S3cretValue`, own), 'odd.ts');
    expect(told).toMatch(/^odd\.ts cannot be loaded: (Error|something was thrown that is no Error)( at odd\.ts:\d{1,6})?\. The log/);
    expect(told).not.toMatch(/S3cret/i);
  }), { numRuns: 500 });
});
