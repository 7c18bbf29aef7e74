import { MIGRATION_TABLE } from './migration-turn.js';
import { isMissingTable, isNotPermitted } from '../errors/postgres-fault.js';
import { recorderPool } from './service-pools.js';

/** The database is there, and not migrated as this release needs it. The message says how to mend it. */
export class SchemaFault extends Error {
  override readonly name = 'SchemaFault';
}

/**
 * What keeps runs from being recorded in the database as it is, naming every migration that it lacks; undefined when it has
 * all of `expected`. Migrations of a newer release do not matter. One small query,
 * and not over the pool of what people read: slow searches make nothing unready.
 * @throws {Error} when the database cannot be reached
 */
export async function schemaFault(expected: readonly string[]): Promise<string | undefined> {
  try {
    const { rows } = await recorderPool.query<{ name: string; isReadOnly: boolean }>({ text: `select name, current_setting('transaction_read_only') = 'on' as "isReadOnly" from ${MIGRATION_TABLE}`, values: [] });
    // As after a failover, where the old address leads to a standby.
    if (rows[0]?.isReadOnly) return 'The database is read-only, so no run can be recorded: is it a standby?';
    const present = new Set(rows.map(({ name }) => name));
    const missing = expected.filter((name) => !present.has(name));
    if (missing.length === 0) return undefined;
    return `The database lacks the migration${missing.length === 1 ? '' : 's'} ${missing.join(', ')}: run npm run migrate`;
  } catch (error) {
    if (isMissingTable(error)) return 'The database is not migrated: run npm run migrate';
    if (isNotPermitted(error)) return `The service's database user may not read which migrations there are: grant select on ${MIGRATION_TABLE}`;
    throw error;
  }
}
