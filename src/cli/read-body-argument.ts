import { readFile } from 'node:fs/promises';
import { text } from 'node:stream/consumers';
import { parseJson } from '../lib/json/parse-json.js';
import { ServiceError } from '../lib/errors/service-error.js';
import { CliError } from './cli-error.js';
import type { RunArguments } from './run-arguments.js';

/** The run's body: what --body holds (an empty object without it), and the flags over that. @throws {CliError} */
export async function readRunBody({ body, fields }: Pick<RunArguments, 'body' | 'fields'>): Promise<unknown> {
  const base = body === undefined ? {} : parse(await bodyText(body));
  if (Object.keys(fields).length === 0) return base;
  if (typeof base !== 'object' || base === null || Array.isArray(base)) throw new CliError('--body is no JSON object, so no flags can go over it');
  // Once more through the checks that a body passes over HTTP: a flag's value may be JSON too.
  return parse(JSON.stringify({ ...base, ...fields }));
}

async function bodyText(body: string): Promise<string> {
  if (body === '-') return text(process.stdin);
  if (!body.startsWith('@')) return body;
  try {
    return await readFile(body.slice(1), 'utf8');
  } catch (error) {
    throw new CliError(`--body: the file cannot be read: ${(error as Error).message}`);
  }
}

function parse(json: string): unknown {
  try {
    return parseJson(json);
  } catch (error) {
    if (error instanceof ServiceError) throw new CliError(`--body: ${error.message}`);
    throw error;
  }
}
