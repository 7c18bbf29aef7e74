import { flagsOf, kebabCase } from '@commons/backend/cli/job-flags.js';
import { readRunArguments } from '@commons/backend/cli/run-arguments.js';
import { readPatients } from '@commons/backend/jobs/helpers/patient-csv.js';
import { printable } from '@commons/backend/jobs/helpers/printable.js';
import { readEmail } from '@commons/backend/lib/auth/callers.js';
import { withoutCredentials } from '@commons/backend/lib/text/credentials.js';
import { csvLine } from '@commons/backend/lib/csv.js';
import { describeError } from '@commons/backend/lib/errors/error-description.js';
import { escapeControls } from '@commons/backend/lib/text/escape-controls.js';
import { fingerprintOf } from '@commons/backend/lib/errors/fingerprint.js';
import { isSlug } from '@commons/backend/lib/job-files/registry.js';
import { jsonWithoutSecrets } from '@commons/backend/lib/json/json-without-secrets.js';
import { terminalFormat } from '@commons/backend/lib/logging/log-format.js';
import { isSource, nameOfSource } from '@commons/backend/lib/open-source.js';
import { outcomeOf } from '@commons/backend/runs/outcome.js';
import { parseJson } from '@commons/backend/lib/json/parse-json.js';
import { keyedHash } from '@commons/backend/lib/personal-data/keyed-hash.js';
import { createScrubber } from '@commons/backend/lib/personal-data/scrubber.js';
import { messageWithoutValues } from '@commons/backend/lib/errors/postgres-message.js';
import { readCsv } from '@commons/backend/lib/read-csv.js';
import { controlStepOf } from '@commons/backend/lib/run-knex/control-step.js';
import { DryRunWrite } from '@commons/backend/lib/run-knex/errors.js';
import { queryTag } from '@commons/backend/lib/run-knex/query-tag.js';
import { plainName, stepsOf } from '@commons/backend/lib/run-knex/sql-writes.js';
import { isSecretName, toSafeJson } from '@commons/backend/lib/json/safe-json.js';
import { nameForm } from '@commons/backend/jobs/shared/same-person.js';
import { splitLines } from '@commons/backend/lib/split-lines.js';
import { framesOf } from '@commons/backend/lib/errors/stack-frames.js';
import { toStorableJson } from '@commons/backend/lib/json/storable-json.js';
import { toStorableText } from '@commons/backend/lib/text/storable-text.js';
import { readLimit, readSince, readStatuses } from '@commons/backend/runs/run-filter.js';
import { z } from 'zod';

/** 10 times the text may take 20 times as long. */
const MOST_RATIO = 20;
const [SMALL, LARGE] = [2_000, 20_000];
/** In ms. What takes the square of a text's length takes far longer for the large one. */
const NOTHING_TO_MEASURE = 4;

/** Repeated up to a text's length. What stands behind a bar ends the text, so that what began so promisingly fails. */
const PIECES = [
  'a', 'Z9-', '1', ' ', '\t', '\n', '\r', ' \n', '\n    at x', '\n    at x| ', '"', "'", '`', '\\', '\\"', '\\u', '\0', '\u2028', '😀', '\ud83d', '\u0301\u0323', 'ẞ', 'İ', 'ς',
  'eyJ-', 'eyJaaaaa.', 'eyJaaaaa.eyJaaaaa', 'eyJaaaaa.eyJaaaaa.|!', '://', '://a:', '://a:b|@', 'Bearer ', 'basic 1', 'Bearer a1b2c3d4e5f6g7h8|!', 'password=', 'token ', 'cookie: "', "cookie: '\\", 'cookie: [', 'cookie: a=', 'authorization\\', 'x-api-key"',
  'value "', ': "', 'insert into a - ', 'cannot execute ', 'column "', '00000000-0000-0000-0000-', 'aaaaab', 'aaaaaaaaa',
  '--', '-- \n', '/*', '/**/', '*/', '/* */|/*', '$a$', '$a', '$$', '$1', "E'", "E'a'\n", "E'\\", "e'--\n", 'U&"', '(', ')', '((', ';', ',', '.', 'a.', '"a".', 'x as ',
  'update ', 'update a,', 'insert into ', 'insert into a(', 'with x as (delete from a ', 'truncate a,', 'copy a(', 'savepoint a;', 'rollback to ', 'explain (analyze,', 'explain ', 'create rule (', 'create function begin atomic case ', 'create table ', 'prepare a as ', 'table ', 'table if not ',
  '{', '[', '":', '[["cookie","a"],', '{"password":', '=', '=1', '@', 'a@', '@a-', '.a', 'a-', '-', '1.', '1d', '/', '//', 'running,', 'readme', 'as ',
];
const PREFIXES = ['', 'UPDATE ', 'EXPLAIN ', "E'a'"];

const textOf = (piece: string, length: number): string => {
  const [repeated = '', end = ''] = piece.split('|');
  return repeated.repeat(length / repeated.length) + end;
};

const error = (message: string, fields: object = {}) => Object.assign(new Error(message), fields);
const refusedValue = { severity: 'ERROR', code: '22P02' };
const scrub = createScrubber(['a'.repeat(400), 'aaaaab', ...Array.from({ length: 60 }, (_, n) => 'a'.repeat(6 + n)), 'ada', 'x@y'])!;
const terminal = terminalFormat({ isTTY: false, hasColors: () => false });
const line = (text: string) => ({ at: new Date(0), level: 'error' as const, tag: text, message: text, data: text, error: { name: 'E', message: text, stack: text }, run: undefined, trace: text });
const Flags = flagsOf(z.object({ names: z.array(z.string()), n: z.number() }));
const tried = (work: () => unknown) => {
  try {
    work();
  } catch {
    // It may well refuse what it is given.
  }
};
let times = 0;

/** Whatever looks at the text of somebody else. */
const FUNCTIONS: Record<string, (text: string) => unknown> = {
  withoutCredentials,
  'describeError, of a message': (text) => describeError(error(text)),
  'describeError, of a stack': (text) => describeError(error('short', { stack: text })),
  'describeError, scrubbed': (text) => describeError(error(text, { stack: text }), scrub.text),
  'describeError, of a text': (text) => describeError(text),
  'describeError, by Postgres': (text) => describeError(error(text, { ...refusedValue, stack: `error: ${text}${text}` })),
  messageWithoutValues: (text) => messageWithoutValues(error(text, refusedValue)),
  'framesOf, beside another message': (text) => framesOf({ stack: text, message: 'a' }),
  'framesOf, beside the same message': (text) => framesOf({ stack: `Error: ${text}\n    at y`, message: text }),
  'toSafeJson, of a text': (text) => toSafeJson({ text }),
  'toSafeJson, of a name': (text) => toSafeJson({ [text]: 1 }, scrub.text),
  'toSafeJson, of a list': (text) => toSafeJson([text, text, [text, 'a']]),
  isSecretName: (text) => isSecretName(text, 'a'),
  jsonWithoutSecrets: (text) => jsonWithoutSecrets(JSON.stringify({ text, [text]: [text] })),
  'outcomeOf, a value': (text) => outcomeOf({ value: { text } }, undefined, scrub),
  'outcomeOf, an error': (text) => outcomeOf({ thrown: error(text) }, undefined, scrub),
  'a scrubber': scrub.text,
  'a scrubber, in JSON': (text) => scrub.json(JSON.stringify([text])),
  escapeControls,
  terminalFormat: (text) => terminal(line(text)),
  fingerprintOf: (text) => fingerprintOf(text, text),
  toStorableText: (text) => toStorableText(text, 1_000),
  toStorableJson: (text) => [toStorableJson(JSON.stringify({ text }), 1_000_000), toStorableJson(text, 1_000)],
  parseJson: (text) => tried(() => parseJson(text)),
  'parseJson, of a text': (text) => parseJson(JSON.stringify({ text })),
  stepsOf: (sql) => stepsOf(`${sql}${times++}`),
  'stepsOf, behind a verb': (sql) => PREFIXES.map((prefix) => stepsOf(`${prefix}${sql}${times++}`)),
  controlStepOf: (sql) => [controlStepOf(sql), controlStepOf(`begin ${sql}`), controlStepOf(`savepoint ${sql}`)],
  plainName,
  DryRunWrite: (text) => new DryRunWrite(error(`cannot execute CREATE TABLE in a read-only transaction ${text}`), text).message + new DryRunWrite(error(text), text).message,
  queryTag: (text) => tried(() => queryTag({ jobName: text, id: 'a' })),
  keyedHash: (text) => keyedHash(text, 'key'),
  nameForm,
  printable,
  isSlug,
  readEmail,
  'the filters of runs': (text) => [readStatuses(text), readSince(text), readLimit(text)],
  'the name of a source': (text) => tried(() => isSource(text) && nameOfSource(text)),
  kebabCase,
  csvLine: (text) => csvLine([text, text]),
  'a flag': (text) => [tried(() => readRunArguments([`--${text}`], Flags)), tried(() => readRunArguments([`--n=${text}`], Flags)), tried(() => readRunArguments([text], Flags))],
};

/** In ms of the process's own time on a processor: what others take of a busy machine does not count. */
const clock = (): number => process.cpuUsage().user / 1_000;

/** The shortest of some tries, for one call. */
async function timeOf(work: () => unknown): Promise<number> {
  let best = Infinity;
  for (let tries = 0; tries < 3; tries++) {
    let calls = 0;
    const since = clock();
    do {
      await work();
      calls++;
    } while (clock() - since < 2);
    best = Math.min(best, (clock() - since) / calls);
  }
  return best;
}

/** How much longer the large one takes; 1 where there is nothing to measure. What a busy machine spoils is measured again. */
async function ratioOf(work: (length: number) => () => unknown): Promise<number> {
  let ratio = Infinity;
  const [small, large] = [work(SMALL), work(LARGE)];
  for (let tries = 0; tries < 8 && ratio > MOST_RATIO; tries++) {
    const since = clock();
    await large();
    if (clock() - since < NOTHING_TO_MEASURE) return 1;
    ratio = (await timeOf(large)) / (await timeOf(small));
  }
  return ratio;
}

describe('ten times the text takes at most twenty times as long', () => {
  it.each(Object.entries(FUNCTIONS))('in %s', async (_, work) => {
    const slow: Record<string, number> = {};
    for (const piece of PIECES) {
      const ratio = await ratioOf((length) => {
        const text = textOf(piece, length);
        return () => work(text);
      });
      if (ratio > MOST_RATIO) slow[piece] = ratio;
    }
    expect(slow).toEqual({});
  }, 60_000);

  it('in a scrubber of many values that begin alike', async () => {
    const ratio = await ratioOf((length) => {
      const values = Array.from({ length: length / 100 }, (_, n) => 'a'.repeat(6 + n));
      const text = 'aaaaaab'.repeat(length / 7);
      return () => createScrubber(values)!.text(text);
    });
    // The values have a square of their number for their length.
    expect(ratio).toBeLessThan(MOST_RATIO * 10);
    const scrubber = createScrubber(Array.from({ length: 494 }, (_, n) => 'a'.repeat(6 + n)))!;
    expect(await ratioOf((length) => () => scrubber.text('aaaaaab'.repeat(length / 7)))).toBeLessThan(MOST_RATIO);
  });

  it.each(['a', 'ab ', "'", '😀', 'eyJaaaaa.eyJaaaaa', 'ab,ab\n', 'value,'])('in a scrubber of a text of %j, and of its lines', async (piece) => {
    // A value is looked for in pieces of 500: with few of them, their number says more than the text's length.
    const ratio = await ratioOf((length) => {
      const text = textOf(piece, length * 10);
      return () => [createScrubber([text])?.text(text), createScrubber(text.split(/[\n,]/))?.text(text)];
    });
    expect(ratio).toBeLessThan(MOST_RATIO);
  });

  it('in a flag that is given many times', async () => {
    expect(await ratioOf((length) => () => readRunArguments(Array.from({ length }, () => '--names=a'), Flags))).toBeLessThan(MOST_RATIO);
  });

  it('in lines that come byte by byte', async () => {
    async function* bytes(length: number) {
      for (let at = 0; at < length; at++) yield Buffer.from('a');
    }
    const ratio = await ratioOf((length) => async () => {
      for await (const _ of splitLines(bytes(length), 1_000_000));
    });
    expect(ratio).toBeLessThan(MOST_RATIO);
  });

  it.each([',', '"', 'a,', 'firstName,', '"a",', '\n', ' '])('in the head of a CSV of %j', async (piece) => {
    const ratio = await ratioOf((length) => async () => {
      const csv = `${piece.repeat(length / 2 / piece.length)}${'lastName,'.repeat(length / 18)}`;
      await readPatients(readCsv([Buffer.from(csv)])).rows.next().catch(() => undefined);
    });
    expect(ratio).toBeLessThan(MOST_RATIO);
  });
});

describe('a text of any length', () => {
  it('is looked at up to a size that does not grow with it', async () => {
    const log = (length: number) => () => toSafeJson({ text: 'password=a '.repeat(length), more: 'eyJ-'.repeat(length) }, scrub.text);
    expect((await timeOf(log(2_000_000))) / (await timeOf(log(200_000)))).toBeLessThan(MOST_RATIO);
    expect(toSafeJson(Array.from({ length: 2_000 }, () => 'a'.repeat(60_000)), scrub.text)!.length).toBeLessThan(100_000);
  });
});
