import knex from '@commons/backend/lib/knex.js';

const STATE = `
  select current_setting('search_path') as "searchPath", current_setting('default_transaction_read_only') as "readOnly", current_user as "user",
    (select count(*)::int from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()) as locks,
    (select count(*)::int from pg_prepared_statements where name like 'left%') as prepared,
    (select count(*)::int from pg_cursors) as cursors,
    (select count(*)::int from pg_listening_channels()) as channels,
    (select count(*)::int from pg_class where relpersistence = 't' and relnamespace = pg_my_temp_schema()) as "temporaryTables",
    current_setting('torture.secret', true) as secret`;

/** What it finds on the connection that it gets. */
export default async () => (await knex.raw(STATE)).rows[0];
