import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import type { MigrationFile, Migrations } from '@commons/backend/lib/database/migration-turn.js';

/** Migrations that stand in a test, by their names without the time, in the order in which they run. */
export type Script = Readonly<Record<string, MigrationFile>>;

/** As if they were files. `remove` removes the folder of them. */
export function scriptedMigrations(connectionString: string, script: Script): Migrations & { remove: () => void } {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'migrations-'));
  const fileOf = (name: string, index: number): string => `${20_300_101_000_000 + index}_${name}.js`;
  const files = new Map(Object.entries(script).map(([name, migration], index) => [fileOf(name, index), migration]));
  for (const file of files.keys()) writeFileSync(path.join(folder, file), '');
  return {
    connection: { connectionString },
    folder,
    importFile: async (file) => files.get(path.basename(file)),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}
