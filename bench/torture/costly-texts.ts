import { rounded } from '../harness/statistics.js';
import { type Ground, JOBS } from './ground.js';
import { Pulse } from './pulse.js';
import { countUp, Faults, none, tally, under, type Verdict } from './verdict.js';

export interface CostlyTextsOptions {
  /** Characters of each text. */
  readonly characters: number;
  /** ms that /healthz may take meanwhile. */
  readonly mostDelay: number;
}

const repeat = (part: string, characters: number): string => part.repeat(Math.ceil(characters / part.length)).slice(0, characters);

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
const manyValues = (characters: number): string[] => Array.from({ length: 500 }, (_, n) => repeat('abcdef', Math.floor(characters / 1_000)) + n);

/** Nested as deep as a body may be. */
const chain = (depth: number): object => (depth === 0 ? {} : { name: 'Ada', next: chain(depth - 1), all: [{ name: 'Grace' }] });

/** Sends texts and bodies that take long to look through, to a job that logs them, throws them and has a schema without an end. */
export async function costlyTexts(ground: Ground, { characters, mostDelay }: CostlyTextsOptions): Promise<Verdict> {
  const target = await ground.serve({ jobs: JOBS });
  const statuses = new Map<number | string, number>();
  const faults = new Faults();
  const bodies: [string, object][] = [
    ...Object.entries(TEXTS).map(([name, part]): [string, object] => [name, { text: repeat(part, characters) }]),
    ['many values with one beginning', { values: manyValues(characters), text: repeat('abcdef', characters) }],
    ['a schema that makes itself anew', { chain: chain(40) }],
    ['z.json()', { json: { a: [{ b: [1, 'x', { c: null }] }] } }],
    ['a text where a schema without an end looks for an object', { chain: 'Ada' }],
  ];
  let slowest = { name: '', ms: 0 };
  try {
    const pulse = new Pulse(target.url);
    for (const [name, body] of bodies) {
      const began = performance.now();
      const status = await fetch(`${target.url}/jobs/reads-records`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) }).then(
        async (answer) => (await answer.arrayBuffer(), answer.status),
        () => 'no answer' as const,
      );
      const ms = performance.now() - began;
      if (ms > slowest.ms) slowest = { name, ms };
      countUp(statuses, status);
      // The job throws its text, which is a 500 that is right; whatever has none must be taken or refused.
      const isRight = 'text' in body ? status === 500 : status === 200 || status === 400;
      if (!isRight) faults.add(`${name}: ${status}`);
    }
    const { longest, failures } = await pulse.stop();
    return {
      figures: [
        { what: `${bodies.length} texts and bodies that take long to look through, up to ${characters.toLocaleString('en')} characters`, measured: tally(statuses), bound: 'all answered', holds: faults.count === 0 },
        under('... slowest answer of /healthz meanwhile', rounded(longest, 0), mostDelay, 'ms'),
        none('... /healthz without an answer', failures),
      ],
      examples: [...faults.examples, `the slowest body: ${slowest.name}, ${rounded(slowest.ms, 0)} ms`],
    };
  } finally {
    await target.stop();
  }
}
