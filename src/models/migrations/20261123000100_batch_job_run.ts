import type { Knex } from 'knex';

export async function up(knex: Knex): Promise<void> {
  await knex.raw(`
    create table batch_job (
      id uuid primary key,
      name text not null unique check (length(name) between 1 and 200),
      "createdAt" timestamptz not null default now()
    );

    create table batch_job_run (
      id uuid primary key,
      "jobName" text not null references batch_job (name),
      status text not null check (status in
        ('queued', 'running', 'succeeded', 'failed', 'timed_out', 'cancelled', 'interrupted', 'lost', 'skipped')),
      "parentRunId" uuid,
      trigger text not null check (trigger in ('http', 'scheduler', 'schedule', 'cli', 'dashboard', 'queue', 'run')),
      "requestedBy" text,
      "isDryRun" boolean not null default false,
      body jsonb,
      result jsonb,
      error jsonb,
      "httpStatus" smallint,
      attempt integer not null default 1,
      "deliveryKey" text,
      "schedulerJobName" text,
      "scheduledFor" timestamptz,
      "queuedAt" timestamptz,
      "startedAt" timestamptz,
      "finishedAt" timestamptz,
      "leaseUntil" timestamptz,
      progress jsonb,
      writes jsonb,
      host text,
      version text
    );

    -- Ids are UUID v7, so they are in the order of time: lists page by id, newest first.
    create index batch_job_run_by_job on batch_job_run ("jobName", id);
    -- Nearly every run succeeds. Whoever looks for the others (the reaper, a person) finds them in a small index, and the
    -- many pay little for it.
    create index batch_job_run_not_succeeded on batch_job_run (status, id) where status <> 'succeeded';
    create unique index batch_job_run_delivery on batch_job_run ("deliveryKey") where "deliveryKey" is not null;

    create table batch_job_run_log (
      "runId" uuid not null references batch_job_run (id) on delete cascade,
      attempt integer not null default 1,
      seq integer not null,
      at timestamptz not null,
      level text not null,
      tag text,
      message text not null,
      data jsonb,
      primary key ("runId", attempt, seq)
    );
  `);
}

export async function down(knex: Knex): Promise<void> {
  await knex.raw('drop table batch_job_run_log, batch_job_run, batch_job');
}
