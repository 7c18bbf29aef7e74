import { mkdirSync } from 'node:fs';
import { load } from './harness/load.js';
import { inProject } from './harness/paths.js';
import { ours, type ServerProcess, startServer } from './harness/server-process.js';
import { rounded } from './harness/statistics.js';
import { table } from './harness/table.js';

export interface MemoryOptions {
  /** Runs in all after which the memory is read, ascending. */
  readonly marks: readonly number[];
  readonly connections: number;
}

interface Mark {
  readonly runs: number;
  readonly rssMb: number;
  readonly heapUsedMb: number;
  readonly externalMb: number;
}

/** Bytes of heap that a run may leave behind before it is called a leak; the figures scatter by less over 90,000 runs. */
const MOST_LEFT_PER_RUN = 16;

/** What the server holds after so many runs, everything collected that can be. */
export async function memory({ marks, connections }: MemoryOptions) {
  const dataFolder = inProject('.data/bench');
  mkdirSync(dataFolder, { recursive: true });
  const server = await startServer(ours(dataFolder, inProject('bench/jobs'), ['--expose-gc']));
  try {
    await server.ready;
    const taken: Mark[] = [];
    for (const [at, runs] of marks.entries()) {
      await load({ url: `${server.url}/jobs/no-op`, connections, until: { requests: runs - (marks[at - 1] ?? 0) } });
      taken.push({ runs, ...(await readMemory(server)) });
    }
    return summary(taken);
  } finally {
    await server.stop();
  }
}

async function readMemory({ url }: ServerProcess): Promise<Omit<Mark, 'runs'>> {
  const answer = await fetch(`${url}/jobs/memory-usage`, { method: 'POST' });
  if (!answer.ok) throw new Error(`memory-usage answered ${answer.status}: ${await answer.text()}`);
  const { rss, heapUsed, external } = (await answer.json()) as NodeJS.MemoryUsage;
  const megabytes = (bytes: number) => rounded(bytes / 2 ** 20, 2);
  return { rssMb: megabytes(rss), heapUsedMb: megabytes(heapUsed), externalMb: megabytes(external) };
}

function summary(marks: readonly Mark[]) {
  const first = marks[0]!;
  const last = marks.at(-1)!;
  const leftPerRun = rounded(((last.heapUsedMb - first.heapUsedMb) * 2 ** 20) / (last.runs - first.runs), 1);
  return { marks, leftPerRun, mostLeftPerRun: MOST_LEFT_PER_RUN };
}

type Memory = Awaited<ReturnType<typeof memory>>;

export function showMemory({ marks, leftPerRun, mostLeftPerRun }: Memory): string {
  const rows = marks.map(({ runs, rssMb, heapUsedMb, externalMb }) => [
    `${runs.toLocaleString('en')} runs`, `${rssMb.toFixed(1)} MB`, `${heapUsedMb.toFixed(2)} MB`, `${externalMb.toFixed(2)} MB`,
  ]);
  return [
    'Memory: after a forced collection',
    '',
    table(['', 'resident', 'heap used', 'external'], rows),
    '',
    `${leftPerRun} bytes of heap left behind by each run (target at most ${mostLeftPerRun}: ${leftPerRun <= mostLeftPerRun ? 'reached' : 'MISSED'})`,
  ].join('\n');
}
