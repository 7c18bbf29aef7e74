import type { Knex } from 'knex';

export async function up(knex: Knex): Promise<void> {
  await knex.raw(`
    alter table batch_job_run_cursor
      -- The failed items of this attempt from this number on are not behind the cursor: a resumed run does them again, and forgets them.
      -- Null for cursors from before this column: all are taken to be behind.
      add column "failureSeq" integer,
      -- Failed items behind the cursor that were too many to be kept: of all attempts, and of those before this one.
      add column "failuresUnkept" integer not null default 0,
      add column "failuresUnkeptBefore" integer not null default 0;
  `);
}

export async function down(knex: Knex): Promise<void> {
  await knex.raw('alter table batch_job_run_cursor drop column "failureSeq", drop column "failuresUnkept", drop column "failuresUnkeptBefore"');
}
