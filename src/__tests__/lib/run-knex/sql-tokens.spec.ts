import fc from 'fast-check';
import { SqlTokens } from '@commons/backend/lib/run-knex/sql-tokens.js';

function textsOf(sql: string): string[] {
  const found: string[] = [];
  for (const tokens = new SqlTokens(sql); tokens.kind !== 'end'; tokens.next()) found.push(tokens.text);
  return found;
}

const anything = fc.string({ unit: fc.constantFrom('a', 'E', '1', "'", '"', '\\', '-', '/', '*', '$', '(', ')', ';', ' ', '\n', 'é', '😀'), maxLength: 8 });
const comment: fc.Arbitrary<string> = fc.letrec<{ nested: string }>((tie) => ({
  nested: fc.array(fc.oneof({ depthSize: 'small' }, fc.constantFrom('a', ' ', "'", '"', '$$', '--', '\n', ';'), tie('nested')), { maxLength: 4 }).map((parts) => `/*${parts.join('')}*/`),
})).nested;
const gap = fc.array(fc.oneof(fc.constantFrom(' ', '\n', '\t', '\r', '\f'), comment, anything.map((text) => `--${text.replace(/\n/g, '')}\n`)), { minLength: 1, maxLength: 3 }).map((parts) => ` ${parts.join('')}`);
const tag = fc.constantFrom('', 'a', '_x1', 'é');
const token = fc.oneof(
  fc.constantFrom('update', 'Insert', 'a1$', '_x', 'tablé', 'e', 'E', 'x', '(', ')', ';', ',', '.', '$1', '$23', '1', '1e5', '0x1F', '+', '*', '<', '$'),
  anything.map((text) => `'${text.replaceAll("'", "''")}'`),
  anything.map((text) => `E'${text.replace(/[\\']/g, '\\$&')}'`),
  anything.map((text) => `"${text.replaceAll('"', '""')}"`),
  anything.map((text) => `U&"${text.replaceAll('"', '""')}"`),
  fc.tuple(tag, anything).map(([name, text]) => `$${name}$${text.replaceAll('$', '')}$${name}$`),
);

describe('SqlTokens', () => {
  it('gives back every token that a text was made of, and nothing of what stands between them', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(gap, token), { maxLength: 12 }), gap, (parts, last) => {
        // A literal on a later line goes on with an E'' before it.
        fc.pre(parts.every(([, text], at) => !text.startsWith("E'") || !parts[at + 1]?.[1].startsWith("'")));
        expect(textsOf(parts.flat().join('') + last)).toEqual(parts.map(([, text]) => text));
      }),
      { numRuns: 2_000 },
    );
  });

  it('comes to the end of any text, without a step back', () => {
    fc.assert(fc.property(fc.string({ unit: fc.constantFrom(...Array.from(`'"\\$-/*eEuU&a1;().\n `)), maxLength: 60 }), (sql) => {
      expect(sql).toContain(textsOf(sql).at(-1) ?? '');
      expect(textsOf(sql).join('').length).toBeLessThanOrEqual(sql.length);
    }), { numRuns: 2_000 });
  });

  it.each([
    ["E'a'\n 'b\\' c' d", ["E'a'\n 'b\\' c'", 'd']],
    ["E'a' 'b\\' c", ["E'a'", "'b\\'", 'c']],
    ["'a' 'b'", ["'a'", "'b'"]],
    ["fe'a'", ['fe', "'a'"]],
    ['a/* /* */ b */c', ['a', 'c']],
    ['$a$ $b$ $a $a$ b', ['$a$ $b$ $a $a$', 'b']],
    ['$a b$c$', ['$', 'a', 'b$c$']],
    ['a -- b\rc', ['a', 'c']],
    ["'a", ["'a"]],
    ['/* a', []],
  ])('reads %j as Postgres does', (sql, texts) => {
    expect(textsOf(sql)).toEqual(texts);
  });

  it('reads names as they are stored', () => {
    expect(new SqlTokens('"My ""S""" . TABLÉ.x').name()).toEqual(['My "S"', 'tablÉ', 'x']);
    expect(new SqlTokens('U&"d\\0061t\\+000061"').name()).toEqual(['data']);
  });
});
