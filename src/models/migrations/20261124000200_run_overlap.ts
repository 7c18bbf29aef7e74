import type { Knex } from 'knex';

export async function up(knex: Knex): Promise<void> {
  await knex.raw(`
    -- The job's name, for a run that may not run beside another of its job (config.overlap: 'skip').
    alter table batch_job_run add column "overlapKey" text;
    -- It is Postgres that lets one in, whichever replica asks.
    create unique index batch_job_run_alone on batch_job_run ("overlapKey") where "overlapKey" is not null and status = 'running';
  `);
}

export async function down(knex: Knex): Promise<void> {
  await knex.raw('alter table batch_job_run drop column "overlapKey"');
}
