import { mkdirSync } from 'node:fs';
import pg from 'pg';
import { startEmbeddedPostgres } from '@commons/backend/lib/embedded-postgres.js';

export interface BenchDatabase {
  readonly connection: pg.ClientConfig;
  query<Row extends pg.QueryResultRow>(text: string, values?: unknown[]): Promise<Row[]>;
  close(): Promise<void>;
}

/**
 * The embedded Postgres of a data folder, as the service itself would start it; shared with the servers that use the same folder.
 * @param settings name=value, each, for a server that does not run yet
 */
export async function openDatabase(dataFolder: string, settings: readonly string[] = []): Promise<BenchDatabase> {
  mkdirSync(dataFolder, { recursive: true });
  const { connection, release } = await startEmbeddedPostgres({ dataFolder, settings });
  const client = new pg.Client(connection);
  await client.connect();
  return {
    connection,
    async query<Row extends pg.QueryResultRow>(text: string, values: unknown[] = []) {
      return (await client.query<Row>(text, values)).rows;
    },
    async close() {
      await client.end();
      await release();
    },
  };
}

const DURABLE = ['synchronous_commit', 'fsync', 'full_page_writes'] as const;

/** The settings that make a commit last. @throws {Error} when one of them is off: figures taken so would say nothing */
export async function assertDurable(database: BenchDatabase): Promise<Record<string, string>> {
  const settings: Record<string, string> = {};
  for (const name of [...DURABLE, 'server_version']) Object.assign(settings, (await database.query(`show ${name}`))[0]);
  for (const name of DURABLE) if (settings[name] !== 'on') throw new Error(`${name} is ${settings[name]}: the bench measures durable commits only`);
  return settings;
}
