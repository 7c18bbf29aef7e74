import { spawn } from 'node:child_process';
import type { ClientConfig } from 'pg';
import { CliError } from './cli-error.js';
import { whileConnected } from './open-database.js';
import { note, writeResult } from './result-stream.js';

/**
 * Opens psql on the service's database, the embedded one too, which runs for as long as psql does. Where psql is not installed, prints the
 * line that connects, without a password, and ends with 1. @param args for psql
 */
export async function psqlCommand(args: readonly string[]): Promise<void> {
  await whileConnected(async (connection) => {
    const { target, password } = targetOf(connection);
    const code = await psql([...target, ...args], password);
    if (code !== undefined) return void (process.exitCode = code);
    writeResult(`psql ${target.map(quoted).join(' ')}\n`);
    note('error: psql is not installed here. Install the client of PostgreSQL, or give that line to one that is.');
    if (connection.connectionString === undefined) note('The embedded Postgres runs only while something uses it: have npm start or npm run dev running beside it.');
    process.exitCode = 1;
  });
}

interface Target {
  /** What psql is told of the database. It shows in the list of processes, so it has no password. */
  readonly target: readonly string[];
  readonly password?: string;
}

/** Secrets, and what node-postgres takes in an address and psql refuses. A key with a password of its own has psql ask for that. */
const NOT_FOR_PSQL = ['password', 'sslpassword', 'ssl', 'uselibpqcompat'];

function targetOf({ connectionString, host = '', port = 5432, user = '', database = '' }: ClientConfig): Target {
  if (connectionString === undefined) return { target: ['-h', host, '-p', String(port), '-U', user, '-d', database] };
  const url = new URL(connectionString);
  const password = decodeURIComponent(url.password) || url.searchParams.get('password');
  url.password = '';
  for (const name of NOT_FOR_PSQL) url.searchParams.delete(name);
  if (url.searchParams.get('sslmode') === 'no-verify') url.searchParams.set('sslmode', 'require');
  return { target: ['-d', url.href], ...(password && { password }) };
}

/** @returns psql's exit code; undefined where there is no psql */
async function psql(args: readonly string[], password: string | undefined): Promise<number | undefined> {
  // Ctrl-C is psql's: it cancels a query there, and must not end this process, and the embedded Postgres with it.
  const listeners = process.listeners('SIGINT');
  process.removeAllListeners('SIGINT').on('SIGINT', () => undefined);
  try {
    return await new Promise<number | undefined>((resolve, reject) => {
      const child = spawn('psql', args, { stdio: 'inherit', env: { ...process.env, ...(password !== undefined && { PGPASSWORD: password }) } });
      child.once('error', (error: NodeJS.ErrnoException) => (error.code === 'ENOENT' ? resolve(undefined) : reject(new CliError(`psql cannot be started: ${error.message}`, { cause: error }))));
      child.once('exit', (code) => resolve(code ?? 1));
    });
  } finally {
    process.removeAllListeners('SIGINT');
    for (const listener of listeners) process.on('SIGINT', listener);
  }
}

/** For a shell. */
const quoted = (text: string): string => (/^[\w./:@=-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`);
