import { migrate } from '../lib/database/migrate.js';
import { migrationsOf, type SourceTree } from '../lib/job-files/source-tree.js';
import { whileConnected } from './open-database.js';
import { writeResult } from './result-stream.js';

/** Brings the database to the newest migration. */
export async function migrateCommand(source: SourceTree): Promise<void> {
  const names = await whileConnected((connection) => migrate(migrationsOf(source, connection)));
  writeResult(names.length > 0 ? `migrated: ${names.join(', ')}\n` : 'nothing to migrate\n');
}
