import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { randomFrom } from '../harness/random.js';
import { countRuns, type Ground } from './ground.js';
import { overConnections, RawConnection } from './raw-connection.js';
import { mutatedSlug, onTheWire } from './slug-mutations.js';
import { countUp, Faults, none, tally, type Verdict } from './verdict.js';

export interface FuzzedSlugsOptions {
  readonly slugs: number;
  readonly seed: number;
}

const CONNECTIONS = 16;
const JOBS = ['loud', 'count-patients', 'x1'];
/** From the folder of jobs. None is a job. */
const OTHERS = [
  'helpers/evil.mjs', 'shared/evil.mjs', '__tests__/evil.mjs', 'more/evil.mjs', '../evil.mjs', '../lib/evil.mjs', 'evil.spec.mjs', 'evil.test.mjs', 'helpers.mjs', 'Evil.mjs', 'evil_name.mjs', '-evil.mjs', 'evil.json', '.evil.mjs', 'evil', 'évil.mjs',
];
const ADDRESSES: readonly (readonly [method: string, before: string, after: string])[] = [['POST', '/jobs/', ''], ['GET', '/jobs/', ''], ['POST', '/scripts/', ''], ['POST', '/cron/', ''], ['POST', '/jobs/', '/rehearse']];
const RIGHT = new Set([400, 404, 414, 431]);

/**
 * Calls jobs by made-up names. Each file in and around the folder of jobs writes down that it was imported, and only the jobs of
 * the listing may; but nobody asks for one of them until the end, which shows that it would have been seen.
 */
export async function fuzzedSlugs(ground: Ground, { slugs, seed }: FuzzedSlugsOptions): Promise<Verdict> {
  const marker = path.join(ground.folder, 'imported.txt');
  const folder = layOut(path.join(ground.folder, 'slugs'), marker);
  const target = await ground.serve({ jobs: folder });
  try {
    const before = await countRuns(ground.database);
    const names = { slugs: JOBS, files: OTHERS, path: folder };
    const statuses = new Map<number | string, number>();
    const faults = new Faults();
    await overConnections(target.url, slugs, CONNECTIONS, async (n, connection) => {
      const random = randomFrom(seed + n);
      const [method, start, end] = ADDRESSES[n % ADDRESSES.length]!;
      let address: string;
      do address = onTheWire(start + mutatedSlug(names, random) + end);
      while (isInOrder(address));
      const answer = await connection.ask(`${method} ${address} HTTP/1.1\r\nHost: localhost\r\n${method === 'POST' ? 'Content-Length: 2\r\n\r\n{}' : '\r\n'}`);
      countUp(statuses, answer?.status ?? 'none');
      if (!answer || !RIGHT.has(answer.status)) faults.add(`${method} ${JSON.stringify(address)}: ${answer ? `${answer.status} ${answer.body}` : 'no answer'}`);
    });
    const runs = (await countRuns(ground.database)) - before;
    const imported = importedFiles(marker);
    await callLoud(target.url, marker);
    return {
      figures: [
        { what: `${slugs.toLocaleString('en')} fuzzed slugs`, measured: tally(statuses), bound: [...RIGHT].join(', '), holds: faults.count === 0 },
        none('... files imported', imported.length),
        none('... runs recorded', runs),
      ],
      examples: [...faults.examples, ...imported.map((file) => `imported: ${file}`)],
    };
  } finally {
    await target.stop();
  }
}

function layOut(root: string, marker: string): string {
  const folder = path.join(root, 'src', 'jobs');
  for (const file of [...JOBS.map((slug) => `${slug}.mjs`), ...OTHERS]) {
    const absolute = path.join(folder, file);
    mkdirSync(path.dirname(absolute), { recursive: true });
    writeFileSync(absolute, `import { appendFileSync } from 'node:fs';\nappendFileSync(${JSON.stringify(marker)}, ${JSON.stringify(`${file}\n`)});\nexport default async () => undefined;\n`);
  }
  return folder;
}

const importedFiles = (marker: string): string[] => (existsSync(marker) ? readFileSync(marker, 'utf8').trim().split('\n') : []);

/** Whether the address asks, by the rules of URLs, for a job that there is, or for the list of them. Node passes over blanks behind it (RFC 9112, 3). */
function isInOrder(address: string): boolean {
  const [name = ''] = address.replace(/ +$/, '').replace(/^\/[a-z]+\//, '').split('?');
  const slug = name.replace(/\/$/, '').replace(/\/rehearse$/i, '');
  try {
    return slug === '' || JOBS.includes(decodeURIComponent(slug));
  } catch {
    return false;
  }
}

/** @throws {Error} when the import of a job that there is leaves no mark: then nothing was measured */
async function callLoud(url: string, marker: string): Promise<void> {
  const connection = new RawConnection(url);
  const answer = await connection.ask('POST /jobs/loud HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n');
  connection.close();
  if (answer?.status !== 204 || !importedFiles(marker).includes('loud.mjs')) throw new Error(`the job loud was answered ${answer?.status}, and its import left no mark`);
}
