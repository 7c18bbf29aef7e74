import fc from 'fast-check';
import { z, type ZodType } from 'zod';
import { flagsOf, kebabCase } from '@commons/backend/cli/job-flags.js';
import { jobHelp } from '@commons/backend/cli/job-help.js';
import { readableDuration, table } from '@commons/backend/cli/readable.js';
import { escapeControls } from '@commons/backend/lib/text/escape-controls.js';
import { readRunArguments } from '@commons/backend/cli/run-arguments.js';
import { readRunBody } from '@commons/backend/cli/read-body-argument.js';

const SCHEMA = z.object({
  batchSize: z.number().int().min(1).optional().default(100).describe('Rows a statement.'),
  isDryRun: z.boolean().optional().default(false),
  name: z.string().optional(),
  tags: z.array(z.string()).optional(),
  ids: z.array(z.number()).optional(),
  filter: z.object({ state: z.string() }).optional(),
  mode: z.enum(['fast', 'careful']).optional(),
  since: z.coerce.date().optional(),
  idOrName: z.union([z.string(), z.number()]).optional(),
  limit: z.number().nullable().optional(),
  isVerbose: z.boolean().nullish(),
});

const fields = (args: string[], schema: ZodType = SCHEMA) => readRunArguments(args, flagsOf(schema)).fields;
const refused = (args: string[], schema: ZodType = SCHEMA) => {
  try {
    fields(args, schema);
  } catch (error) {
    return (error as Error).message;
  }
  return undefined;
};

describe('the flags of a job', () => {
  it.each([
    ['batchSize', 'batch-size'], ['isDryRun', 'is-dry-run'], ['batch_size', 'batch-size'], ['sourceURL', 'source-url'],
    ['URLOfSource', 'url-of-source'], ['md5Sum', 'md5-sum'], ['limit', 'limit'], ['already-kebab', 'already-kebab'],
  ])('writes %s as --%s', (field, flag) => {
    expect(kebabCase(field)).toBe(flag);
  });

  it.each([
    ['a number, in kebab-case', ['--batch-size', '100'], { batchSize: 100 }],
    ['the name of the field itself', ['--batchSize', '100'], { batchSize: 100 }],
    ['a value behind an equals sign', ['--batch-size=100'], { batchSize: 100 }],
    ['a negative number', ['--batch-size', '-5'], { batchSize: -5 }],
    ['a switch alone', ['--is-dry-run'], { isDryRun: true }],
    ['a switch that is negated', ['--no-is-dry-run'], { isDryRun: false }],
    ['a switch with a value', ['--isDryRun=false'], { isDryRun: false }],
    ['a switch with a value behind it', ['--is-dry-run', 'false', '--name', 'x'], { isDryRun: false, name: 'x' }],
    ['a switch that may be null', ['--is-verbose', '--no-is-dry-run'], { isVerbose: true, isDryRun: false }],
    ['--dry-run', ['--dry-run'], { isDryRun: true }],
    ['--dry-run=false', ['--dry-run=false'], { isDryRun: false }],
    ['text as it stands, whatever it looks like', ['--name', '5'], { name: '5' }],
    ['text with equals signs and line breaks', ['--name=a=b\nc'], { name: 'a=b\nc' }],
    ['empty text', ['--name='], { name: '' }],
    ['text of one hyphen', ['--name', '-'], { name: '-' }],
    ['text that begins with two', ['--name=--x'], { name: '--x' }],
    ['a list, item by item', ['--tags', 'a', '--tags=b', '--ids', '1', '--ids', '2'], { tags: ['a', 'b'], ids: [1, 2] }],
    ['a list of one', ['--tags', '["a"]'], { tags: ['["a"]'] }],
    ['an object as JSON', ['--filter', '{"state":"NY"}'], { filter: { state: 'NY' } }],
    ['one of several words', ['--mode', 'fast'], { mode: 'fast' }],
    ['whatever the schema converts itself', ['--since', '2026-11-23'], { since: '2026-11-23' }],
    ['text or number: a number', ['--id-or-name', '5'], { idOrName: 5 }],
    ['text or number: text', ['--id-or-name', 'five'], { idOrName: 'five' }],
    ['text or number: quoted text', ['--id-or-name', '"5"'], { idOrName: '5' }],
    ['null where it is allowed', ['--limit', 'null'], { limit: null }],
    ['nothing', [], {}],
  ])('reads %s', (_what, args, expected) => {
    expect(fields(args)).toEqual(expected);
  });

  it.each([
    ['an unknown flag', ['--bogus', '1'], '--bogus is no flag of this job'],
    ['one that Object.prototype has', ['--constructor', '1'], '--constructor is no flag of this job'],
    ['text for a number', ['--batch-size', 'many'], '--batch-size takes <number>, not "many"'],
    ['an empty number', ['--batch-size='], '--batch-size takes <number>, not ""'],
    ['a hexadecimal number', ['--batch-size', '0x10'], '--batch-size takes <number>, not "0x10"'],
    ['a number that would come out as another', ['--batch-size', '9007199254740993'], '--batch-size takes a number that JavaScript holds exactly'],
    ['an endless number', ['--batch-size', '1e999'], '--batch-size takes a number that JavaScript holds exactly'],
    ['a switch that is neither', ['--is-dry-run=yes'], '--is-dry-run takes <boolean>, not "yes"'],
    ['a negated switch with a value', ['--no-is-dry-run=false'], '--no-is-dry-run takes no value'],
    ['the negation of what is no switch', ['--no-batch-size'], '--no-batch-size is no flag of this job'],
    ['an object that is none', ['--filter', '[1]'], '--filter takes <JSON object>, not "[1]"'],
    ['JSON that is none', ['--filter', '{state}'], '--filter takes <JSON object>, not "{state}"'],
    ['a list with an item that does not convert', ['--ids', '1', '--ids', 'x'], '--ids takes <number>, not "x"'],
    ['a missing value', ['--name'], '--name takes <string>'],
    ['a flag where a value should be', ['--name', '--dry-run'], '--name takes <string>'],
    ['a value given twice', ['--name', 'a', '--name', 'b'], '--name was given twice'],
    ['a switch given both ways', ['--dry-run', '--no-is-dry-run'], '--no-is-dry-run was given twice'],
    ['a word that is no flag', ['--dry-run', 'name=x'], '"name=x" is no flag'],
    ['a lone --', ['--', 'x'], '-- is no flag of this job'],
  ])('refuses %s, naming it and the flags there are', (_what, args, message) => {
    expect(refused(args)).toContain(message);
    expect(refused(args)).toContain('Its flags: --batch-size, --is-dry-run, --name, --tags');
  });

  it('refuses --dry-run where the job has no isDryRun', () => {
    expect(refused(['--dry-run'], z.object({ limit: z.number() }))).toContain('this job has no isDryRun');
  });

  it('takes --dry-run for isDryRun also beside a field called dryRun, which has its own name left', () => {
    const schema = z.object({ dryRun: z.boolean(), isDryRun: z.boolean() });
    expect(fields(['--dry-run', '--dryRun=false'], schema)).toEqual({ isDryRun: true, dryRun: false });
    expect(fields(['--dry-run'], z.object({ dryRun: z.boolean() }))).toEqual({ dryRun: true });
  });

  it('refuses a flag that may be either of two fields, which by their own names are clear', () => {
    const schema = z.object({ batchSize: z.number(), batch_size: z.number() });
    expect(refused(['--batch-size', '1'], schema)).toContain('--batch-size may be --batchSize or --batch_size');
    expect(fields(['--batchSize', '1', '--batch_size', '2'], schema)).toEqual({ batchSize: 1, batch_size: 2 });
  });

  it('leaves --body and --help to the command, whatever fields the job has', () => {
    const schema = z.object({ body: z.string(), help: z.boolean() });
    expect(readRunArguments(['--body', '{}'], flagsOf(schema))).toEqual({ isHelp: false, body: '{}', fields: {} });
    expect(readRunArguments(['--help'], flagsOf(schema)).isHelp).toBe(true);
  });

  it('takes a field that begins with no for itself, before it takes it for a negation', () => {
    const schema = z.object({ noCache: z.boolean(), cache: z.boolean() });
    expect(fields(['--no-cache'], schema)).toEqual({ noCache: true });
    expect(fields(['--no-no-cache', '--cache'], schema)).toEqual({ noCache: false, cache: true });
  });

  it('finds the fields of unions, intersections, references and transformed objects', () => {
    const either = z.discriminatedUnion('kind', [z.object({ kind: z.literal('a'), size: z.number() }), z.object({ kind: z.literal('b'), size: z.string() })]);
    expect(fields(['--kind', 'a', '--size', '5'], either)).toEqual({ kind: 'a', size: 5 });
    expect(fields(['--size', 'big'], either)).toEqual({ size: 'big' });
    expect(fields(['--a', '1', '--b', '2'], z.object({ a: z.number() }).and(z.object({ b: z.number() })))).toEqual({ a: 1, b: 2 });
    const named = z.string().meta({ id: 'Name' });
    expect(fields(['--name', '5'], z.object({ name: named, other: named }).transform((value) => value))).toEqual({ name: '5' });
    const tree = z.object({ name: z.string(), get children() { return z.array(tree).optional(); } });
    expect(fields(['--children', '{"name":"x"}'], tree)).toEqual({ children: [{ name: 'x' }] });
  });

  it('tells of a union what all of its parts say', () => {
    const either = z.discriminatedUnion('mode', [
      z.object({ mode: z.literal('preview').describe('Looks.'), isDryRun: z.literal(true).default(true).describe('Always.'), size: z.int().default(5) }),
      z.object({ mode: z.literal('apply').describe('Does it.'), isDryRun: z.boolean().default(false).describe('Or just looks.'), size: z.int().default(5) }),
      z.object({ mode: z.enum(['one', 'two']).describe('In part.'), isDryRun: z.boolean().default(false).describe('Or just looks.'), npi: z.string().describe('Which.') }),
    ]);
    const text = jobHelp('do-it', {}, flagsOf(either));
    expect(text).toMatch(/--mode <preview\|apply\|one\|two> +preview: Looks\. apply: Does it\. In part\. \(required\)\n/);
    expect(text).toMatch(/--is-dry-run, --no-is-dry-run +Always\. Or just looks\.\n/);
    expect(text).toMatch(/--size <number> +size \(default: 5\)\n/);
    expect(text).toMatch(/--npi <string> +Which\.\n/);
  });

  it('keeps the description of a field that is marked as personal', () => {
    const marked = z.object({ email: z.email().optional().describe('Whose.').meta({ pii: true }), csv: z.string().meta({ pii: true }).describe('All.') });
    expect(flagsOf(marked)).toMatchObject([{ name: 'email', description: 'Whose.', isRequired: false }, { name: 'csv', description: 'All.', isRequired: true }]);
  });

  it('has none where the body is no object', () => {
    expect(flagsOf(z.array(z.string()))).toEqual([]);
    expect(refused(['--x', '1'], z.string())).toContain('Its flags: none');
  });

  it('says what to do where the job exports no RequestBody', () => {
    expect(() => readRunArguments(['--limit', '1'], undefined)).toThrow(/--limit: this job exports no RequestBody.*--body/);
    expect(readRunArguments(['--body={"limit":1}'], undefined).body).toBe('{"limit":1}');
  });
});

describe('the body', () => {
  it('is an empty object without anything, and takes flags over --body', async () => {
    await expect(readRunBody({ body: undefined, fields: {} })).resolves.toEqual({});
    await expect(readRunBody({ body: '{"a":1,"b":2}', fields: { b: 3 } })).resolves.toEqual({ a: 1, b: 3 });
    await expect(readRunBody({ body: '[1]', fields: {} })).resolves.toEqual([1]);
  });

  it.each([
    ['no JSON', '{', {}, 'not valid JSON'],
    ['flags over what is no object', '[1]', { a: 1 }, 'no flags can go over it'],
    ['a key that reaches for a prototype', '{"__proto__":{}}', {}, 'a key that is not allowed'],
    ['such a key in a flag', undefined, { a: JSON.parse('{"__proto__":{}}') }, 'a key that is not allowed'],
    ['a file that is not there', '@/nowhere.json', {}, 'cannot be read'],
  ])('refuses %s', async (_what, body, given, message) => {
    await expect(readRunBody({ body, fields: given })).rejects.toThrow(message);
  });
});

describe('the help of a job', () => {
  it('shows its flags with their types, defaults and descriptions', () => {
    const text = jobHelp('do-it', { description: 'Does it.' }, flagsOf(SCHEMA));
    expect(text).toMatch(/^Usage: job run do-it \[flags\]\n\nDoes it\.\n/);
    expect(text).toMatch(/--batch-size <number> +Rows a statement\. \(default: 100\)\n/);
    expect(text).toMatch(/--is-dry-run, --no-is-dry-run +isDryRun \(default: false\)\n/);
    expect(text).toMatch(/--tags <string> \.\.\. +tags \(may be repeated\)\n/);
    expect(text).toMatch(/--mode <fast\|careful> +mode\n/);
    expect(text).toMatch(/--dry-run +the same as --is-dry-run\n/);
    expect(jobHelp('do-it', {}, undefined)).toMatch(/^Usage: .*\n\nThe job exports no RequestBody.*\n\nFlags:\n {2}--body/);
  });
});

describe('what is shown', () => {
  it.each([[0, '0 ms'], [849.6, '850 ms'], [1_000, '1.0 s'], [59_949, '59.9 s'], [59_950, '1 m 00 s'], [245_000, '4 m 05 s'], [3_599_600, '1 h 00 m'], [7_800_000, '2 h 10 m']])('says of %s ms: %s', (ms, text) => {
    expect(readableDuration(ms)).toBe(text);
  });

  it('stays on its line, and has no power over the terminal', () => {
    expect(escapeControls('a\nb\u001b[31mc\u202e')).toBe('a\\nb\\u001b[31mc\\u202e');
    expect(table(['A', 'B'], [['long\n', 'x'], ['y', '']])).toBe('A       B\nlong\\n  x\ny\n');
  });
});

describe('any body, written as flags', () => {
  const json = fc.jsonValue({ maxDepth: 2 }).filter((value) => !/-0|__proto__|constructor/.test(JSON.stringify(value)) && !Object.is(value, -0));
  const anyBody = fc.record(
    {
      text: fc.string({ unit: 'binary' }),
      count: fc.double({ noNaN: true, noDefaultInfinity: true }).filter((value) => !Object.is(value, -0) && (!Number.isInteger(value) || Number.isSafeInteger(value))),
      isOn: fc.boolean(),
      words: fc.array(fc.string(), { minLength: 1 }),
      numbers: fc.array(fc.integer(), { minLength: 1 }),
      kind: fc.constantFrom('a', 'b'),
      nested: fc.dictionary(fc.string().filter((key) => key !== '__proto__' && key !== 'constructor'), json),
    },
    { requiredKeys: [] },
  );
  const schema = z.object({
    text: z.string(),
    count: z.number(),
    isOn: z.boolean(),
    words: z.array(z.string()),
    numbers: z.array(z.number()),
    kind: z.enum(['a', 'b']),
    nested: z.record(z.string(), z.unknown()),
  }).partial();

  const asText = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value));
  const asFlags = (body: object): string[] =>
    Object.entries(body).flatMap(([field, value]) => (Array.isArray(value) ? value : [value]).map((item) => `--${kebabCase(field)}=${asText(item)}`));

  it('is read as it was', async () => {
    const flags = flagsOf(schema);
    await fc.assert(fc.asyncProperty(anyBody, async (body) => {
      expect(await readRunBody(readRunArguments(asFlags(body), flags))).toEqual(JSON.parse(JSON.stringify(body)));
    }));
  });

  it('whatever the arguments, is read or refused in plain words', () => {
    const flags = flagsOf(schema);
    const argument = fc.oneof(fc.string(), fc.string().map((text) => `--${text}`), fc.constantFrom('--text', '--is-on', '--no-is-on', '--count', '1', '--body', 'true'));
    fc.assert(fc.property(fc.array(argument), (args) => {
      try {
        readRunArguments(args, flags);
      } catch (error) {
        expect((error as Error).name).toBe('CliError');
      }
    }));
  });
});
