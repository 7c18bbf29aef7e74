import { type ChildProcess, spawn } from 'node:child_process';
import path from 'node:path';
import pg from 'pg';
import { builtProgram } from './built-program.js';
import { waitUntil } from './wait-until.js';

const ROOT = path.resolve(__dirname, '../../..');

/** A Postgres of a test's own, which it can stop and start under the service. */
export class PostgresProcess {
  #child: ChildProcess | undefined;
  url = '';

  constructor(readonly dataFolder: string) {}

  async start(): Promise<void> {
    const child = spawn(process.execPath, builtProgram('src/__tests__/fixtures/postgres-process.ts', this.dataFolder), { cwd: ROOT, stdio: ['ignore', 'pipe', 'inherit'] });
    this.#child = child;
    let output = '';
    child.stdout.on('data', (part: Buffer) => (output += part.toString()));
    this.url = await waitUntil('Postgres runs', () => /postgres:\/\/\S+/.exec(output)?.[0], 60_000);
  }

  /** Kills the process that holds the server; the server ends with it. */
  async stop(): Promise<void> {
    this.#child?.kill('SIGKILL');
    this.#child = undefined;
    await waitUntil('Postgres is gone', async () => !(await this.answers()));
  }

  /** Runs one statement over a connection of its own. */
  async query(text: string, values: unknown[] = []): Promise<Record<string, unknown>[]> {
    const client = new pg.Client(this.url);
    // A server that is stopped breaks it; the query's own rejection says so.
    client.on('error', () => undefined);
    await client.connect();
    try {
      return (await client.query(text, values)).rows;
    } finally {
      await client.end();
    }
  }

  private async answers(): Promise<boolean> {
    try {
      await this.query('select 1');
      return true;
    } catch {
      return false;
    }
  }
}
