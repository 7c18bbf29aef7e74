import type { Knex } from 'knex';

export async function up(knex: Knex): Promise<void> {
  await knex.raw(`
    -- The keys of the items that the run is for, when that is just those that another one failed at: its own next attempt keeps to them.
    alter table batch_job_run add column "onlyKeys" jsonb;
  `);
}

export async function down(knex: Knex): Promise<void> {
  await knex.raw('alter table batch_job_run drop column "onlyKeys"');
}
