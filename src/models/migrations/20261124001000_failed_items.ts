import type { Knex } from 'knex';

export async function up(knex: Knex): Promise<void> {
  await knex.raw(`
    alter table batch_job_run
      -- How many items failed, in all attempts since the run last began anew. Null for runs from before this column.
      add column "failedItems" integer,
      -- Whether the job asked which items to keep to (run.onlyKeys). Only then does a retry of the failed items do just these.
      -- Null where that is not known: while the run goes on, after a kill, and for runs from before this column.
      add column "asksForKeys" boolean;
    alter table batch_job_run alter column "failedItems" set default 0;
  `);
}

export async function down(knex: Knex): Promise<void> {
  await knex.raw('alter table batch_job_run drop column "failedItems", drop column "asksForKeys"');
}
