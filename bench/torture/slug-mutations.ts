/** What is tried to have a file imported that is no job. */
export interface Folder {
  /** Jobs of the registry. */
  readonly slugs: readonly string[];
  /** Files that are none, from the folder of jobs, with their extension. */
  readonly files: readonly string[];
  /** Absolute. */
  readonly path: string;
}

type Random = () => number;

const pick = <T>(random: Random, values: readonly T[]): T => values[Math.floor(random() * values.length)]!;
const utf8 = (text: string): string => [...Buffer.from(text)].map((byte) => `%${byte.toString(16).padStart(2, '0')}`).join('');
const withoutExtension = (file: string): string => file.replace(/\.[^.]+$/, '');

/** Characters that look like others, or like none. */
const LOOK_ALIKES: Readonly<Record<string, readonly string[]>> = {
  a: ['\u0430', '\uff41', '\u00aa', 'A', '\u0101', 'a\u0301'], e: ['\u0435', '\uff45', 'E', '\u0117'], o: ['\u043e', '0', '\u03bf', 'O', '\u00ba'], l: ['1', '\u04cf', 'I', '\u217c'],
  i: ['\u0131', '\u0456', 'I', '\u0130'], d: ['\u0501', 'D', '\u217e'], s: ['\u0455', '\u017f', 'S'], k: ['\u212a', 'K'], n: ['\u0578', 'N'], u: ['\u057d', 'U', '\u00b5'],
  '-': ['\u2010', '\u2011', '\u2013', '\u2212', '\u00ad', '_', '--', '\uff0d'], '.': ['\u2024', '\uff0e', '\u3002'], '/': ['\u2215', '\uff0f', '\u2044', '\\'],
};
const PARTS = [
  '%00', '\0', '%0a', '%0d%0a', '%09', ' ', '%20', '+', '.', '..', './', '../', '%2e', '%2E%2e', '%2f', '%5c', '%252f', '%252e%252e%252f', '..%2f', '%2e%2e/', '..;/', '//', '/.', '\\', '..\\',
  '%c0%af', '%c0%ae%c0%ae', '%e0%80%af', '%', '%zz', '%u002e', '%u0061', '%fe%ff', '%ed%a0%80', '\u00a0', '%c2%a0', '\ufeff', '%ef%bb%bf', '%e2%80%8b', '%e2%80%ae', '%cc%81', '\u00ff', '\u0085',
  '~', '*', '$', '{', '}', '(', ')', '<', '>', '"', "'", '`', '|', '^', '[', ']', '@', '!', ',', ';', ';x=1', ':', '&', '=', '?', '?x', '#', '#x', '%3f', '%23', '.ts', '.mjs', '.js', '.json', '.ts?v=1', '%3fv=1', '::$DATA', '-', '_',
];
const WORDS = [
  '__proto__', 'constructor', 'prototype', 'toString', 'hasOwnProperty', 'valueOf', '__defineGetter__', 'size', 'get', 'undefined', 'null', 'NaN', 'true', '0', '-1', 'then', 'default', 'index', 'package.json',
  'node:fs', 'node:child_process', 'fs', 'express', '@commons/backend/lib/knex.js', 'data:text/javascript,1', 'https://evil.example/x.mjs', 'etc/passwd', '/etc/passwd', '../../../../etc/passwd', 'con', 'nul', 'COM1', '~root',
  '$(id)', '`id`', "' or 1=1 --", '<script>alert(1)</script>', '{{7*7}}', '${7*7}', '%s%n', ':slug', '*', '.', '..', '...', 'rehearse', 'server', 'cli', 'app',
];

/** A name that was made out of one there is, of a file's, or out of nothing, by up to three steps. Characters over U+00FF stand for their UTF-8. */
export function mutatedSlug({ slugs, files, path }: Folder, random: Random): string {
  const start = random();
  let text = start < 0.35 ? pick(random, slugs) : start < 0.75 ? fileName(pick(random, files), path, random) : start < 0.92 ? pick(random, WORDS) : noise(random);
  for (let steps = Math.floor(random() * 4); steps > 0; steps--) text = pick(random, STEPS)(text, random);
  return text;
}

function fileName(file: string, folder: string, random: Random): string {
  const name = random() < 0.5 ? file : withoutExtension(file);
  return pick(random, [name, `./${name}`, `${folder}/${name}`, `file://${folder}/${name}`, `../${folder.split('/').at(-1)}/${name}`, name.split('/').at(-1)!]);
}

function noise(random: Random): string {
  return Array.from({ length: 1 + Math.floor(random() * 40) }, () => (random() < 0.5 ? utf8(String.fromCodePoint(Math.floor(random() * 0xd7ff))) : `%${Math.floor(random() * 256).toString(16).padStart(2, '0')}`)).join('');
}

const STEPS: readonly ((text: string, random: Random) => string)[] = [
  // Something put in somewhere, at the end as often as not.
  (text, random) => {
    const at = random() < 0.5 ? text.length : Math.floor(random() * (text.length + 1));
    return text.slice(0, at) + pick(random, PARTS) + text.slice(at);
  },
  (text, random) => pick(random, PARTS) + text,
  (text, random) => '../'.repeat(1 + Math.floor(random() * 8)) + text,
  (text, random) => text.replace(/[a-z./-]/gi, (unit) => (random() < 0.2 ? pick(random, LOOK_ALIKES[unit] ?? [unit.toUpperCase()]) : unit)),
  (text) => text.replaceAll('/', '%2f'),
  (text) => text.replaceAll('.', '%2e'),
  (text) => text.replaceAll('%', '%25'),
  (text) => text.replaceAll('/', '\\'),
  (text) => utf8(text),
  (text) => text.toUpperCase(),
  (text, random) => text.slice(0, Math.floor(random() * text.length)),
  (text, random) => text + text.slice(Math.floor(random() * text.length)),
  (text, random) => (random() < 0.1 ? text.padEnd(random() < 0.5 ? 5_000 : 20_000, pick(random, ['a', '-', '%61', '../', 'a-'])) : text.padEnd(101, 'a')),
];

/** The address as the wire takes it: one byte a character, and nothing that would end the line. */
export const onTheWire = (text: string): string => Buffer.from(text.replace(/[\r\n]/g, ''), isLatin1(text) ? 'latin1' : 'utf8').toString('latin1');

// oxlint-disable-next-line no-control-regex
const isLatin1 = (text: string): boolean => /^[\u0000-\u00ff]*$/.test(text);
