import type { Knex } from 'knex';

export async function up(knex: Knex): Promise<void> {
  await knex.raw(`
    alter table batch_job_run add column "cancelRequestedAt" timestamptz, add column "cancelRequestedBy" text,
      -- The call that started the attempt of a delivery: whether it is one's own, when the answer to that was lost.
      add column claim uuid;

    -- Apart from the run's row: a checkpoint holds its row until the batch commits, and the lease must be renewed meanwhile.
    create table batch_job_run_cursor (
      "runId" uuid primary key references batch_job_run (id) on delete cascade,
      attempt integer not null,
      cursor jsonb
    );

    create table batch_job_run_failure (
      "runId" uuid not null references batch_job_run (id) on delete cascade,
      attempt integer not null,
      seq integer not null,
      at timestamptz not null default now(),
      key jsonb not null,
      message text not null,
      fingerprint text not null,
      primary key ("runId", attempt, seq)
    );
  `);
}

export async function down(knex: Knex): Promise<void> {
  await knex.raw(`
    drop table batch_job_run_failure, batch_job_run_cursor;
    alter table batch_job_run drop column "cancelRequestedAt", drop column "cancelRequestedBy", drop column claim;
  `);
}
