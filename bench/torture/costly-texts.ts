import { rounded } from '../harness/statistics.js';
import { type Ground, JOBS, type Target } from './ground.js';
import { startPulse } from './pulse.js';
import { countUp, Faults, none, tally, under, type Verdict } from './verdict.js';

export interface CostlyTextsOptions {
  /** Bytes of each text, as JSON. */
  readonly bytes: number;
  /** ms that /healthz may take meanwhile. */
  readonly mostDelay: number;
}

/** As much of it as has so many bytes in JSON. */
const repeat = (part: string, bytes: number): string => part.repeat(Math.floor(bytes / (Buffer.byteLength(JSON.stringify(part)) - 2)));

/** Texts that a careless expression takes long over: beginnings of what it looks for, and never an end. */
const TEXTS: Readonly<Record<string, string>> = {
  'beginnings of a token': 'eyJ-',
  'dots of a token': 'eyJa.',
  'lines like a stack': '    at x (y:1:1)\n',
  'half a line of a stack': '    at x (',
  'password=': 'password=',
  'addresses with a password': 'postgres://a:b',
  'at signs': 'a@',
  'Bearer': 'Bearer ',
  spaces: ' ',
  quotes: `'"\\`,
  hyphens: '-',
  'key (a)=(': 'Key (a)=(',
  'pairs of surrogates': '😀',
  'half a pair': '\ud83d',
};

/** Values of a body, all personal, all beginning alike: each may be meant at each place of a text. */
const manyValues = (bytes: number): string[] => Array.from({ length: 500 }, (_, n) => repeat('abcdef', Math.floor(bytes / 1_000)) + n);

/** Nested as deep as a body may be. */
const chain = (depth: number): object => (depth === 0 ? {} : { name: 'Ada', next: chain(depth - 1), all: [{ name: 'Grace' }] });

interface Call {
  readonly name: string;
  readonly job: string;
  readonly body: object;
  /** What the answer must be. */
  readonly status: number;
}

async function send({ url }: Target, job: string, body: object): Promise<number | 'no answer'> {
  try {
    const answer = await fetch(`${url}/jobs/${job}`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) });
    await answer.arrayBuffer();
    return answer.status;
  } catch {
    return 'no answer';
  }
}

/** Sends texts and bodies that take long to look through, to jobs that log them, throw them, and have schemas that hold themselves or have no end. */
export async function costlyTexts(ground: Ground, { bytes, mostDelay }: CostlyTextsOptions): Promise<Verdict> {
  const target = await ground.serve({ jobs: JOBS });
  const statuses = new Map<number | string, number>();
  const faults = new Faults();
  const calls: Call[] = [
    // The job throws its text, so 500 is right.
    ...Object.entries(TEXTS).map(([name, part]): Call => ({ name, job: 'reads-records', body: { text: repeat(part, bytes) }, status: 500 })),
    { name: 'many values with one beginning', job: 'reads-records', body: { values: manyValues(bytes), text: repeat('abcdef', bytes / 3) }, status: 500 },
    { name: 'a schema that holds itself', job: 'reads-records', body: { chain: chain(40) }, status: 200 },
    { name: 'a text in its place', job: 'reads-records', body: { chain: 'Ada' }, status: 400 },
    { name: 'z.json()', job: 'reads-records', body: { json: { a: [{ b: [1, 'x', { c: null }] }] } }, status: 200 },
    // It cannot be looked through, so the job is refused.
    { name: 'a schema without an end', job: 'endless-schema', body: { chain: { name: 'Ada' } }, status: 500 },
  ];
  let slowest = { name: '', ms: 0 };
  try {
    // A job's schema is looked through once, as its file is loaded: that is its author's time, and no caller can have it again.
    for (const job of new Set(calls.map((call) => call.job))) await send(target, job, {});
    const pulse = startPulse(target.url);
    for (const { name, job, body, status: expected } of calls) {
      const began = performance.now();
      const status = await send(target, job, body);
      const ms = performance.now() - began;
      if (ms > slowest.ms) slowest = { name, ms };
      countUp(statuses, status);
      if (status !== expected) faults.add(`${name}: ${status} and not ${expected}`);
    }
    const { slowest: slowestLook, failed } = await pulse.end();
    return {
      figures: [
        { what: `${calls.length} texts and bodies that take long to look through, of up to ${bytes.toLocaleString('en')} bytes`, measured: tally(statuses), bound: 'as expected', holds: faults.count === 0 },
        under('... slowest answer of /healthz meanwhile', rounded(slowestLook, 0), mostDelay, 'ms'),
        none('... /healthz without an answer', failed),
      ],
      examples: [...faults.examples, `the slowest body: ${slowest.name}, ${rounded(slowest.ms, 0)} ms`],
    };
  } finally {
    await target.stop();
  }
}
