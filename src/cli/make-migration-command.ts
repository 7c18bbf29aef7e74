import { readdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { SourceTree } from '../lib/job-files/source-tree.js';
import { CliError } from './cli-error.js';
import { writeResult } from './result-stream.js';

/** Writes an empty migration and prints its path. `now` gives it its place in the order. */
export async function makeMigrationCommand({ root }: SourceTree, name: string, now = new Date()): Promise<void> {
  if (!/^[a-z][a-z0-9]*(_[a-z0-9]+)*$/.test(name) || name.length > 100) {
    throw new CliError(`${JSON.stringify(name)} is no migration's name: write it in snake_case, such as add_zip_code`);
  }
  const folder = path.join(root, 'models/migrations');
  const existing = await readdir(folder);
  if (!existing.some((file) => file.endsWith('.ts'))) {
    throw new CliError('a migration is made in the source, and this is the build. Run: npm run migrate:make -- <name>');
  }
  if (existing.some((file) => path.parse(file).name.replace(/^\d+_/, '') === name)) {
    throw new CliError(`there is a migration ${name} already, in ${folder}`);
  }
  const file = path.join(folder, `${timestamp(now)}_${name}.ts`);
  await writeFile(file, STUB, { flag: 'wx' });
  writeResult(`${path.relative('', file)}\n`);
}

/** YYYYMMDDHHMMSS in UTC: migrations run in the order of their names. */
const timestamp = (now: Date): string => now.toISOString().replace(/\D/g, '').slice(0, 14);

/** An empty statement fails: a server that watches and migrates would else mark it as done before it is written. */
const STUB = `import type { Knex } from 'knex';

export async function up(knex: Knex): Promise<void> {
  // Until there is SQL here, migrating fails, and nothing is marked as done.
  await knex.raw(\`\`);
}

export async function down(knex: Knex): Promise<void> {
  await knex.raw(\`\`);
}
`;
