import type { Knex } from 'knex';

export async function up(knex: Knex): Promise<void> {
  await knex.raw(`
    -- Who did what, and who was refused. Append-only: nobody changes or deletes an entry, whatever code is wrong.
    create table audit_event (
      id uuid primary key,
      at timestamptz not null default now(),
      action text not null,
      outcome text not null check (outcome in ('allowed', 'denied')),
      -- The caller as it was made out, and whether the service verified that itself.
      caller text,
      "isVerified" boolean not null default false,
      -- The address that it called from, or the machine and its user for the command line.
      source text,
      "jobName" text,
      -- No foreign key: the entry outlives its run.
      "runId" uuid,
      -- The HTTP status of a refusal, and the reason that was told.
      status smallint,
      reason text
    );
    -- The entry of a run's start has the run's id for its own, and needs no second index.
    create index audit_event_by_run on audit_event ("runId") where "runId" <> id;

    create function audit_event_is_append_only() returns trigger language plpgsql as $$
    begin
      raise exception 'audit_event is append-only' using errcode = 'insufficient_privilege';
    end
    $$;
    create trigger audit_event_append_only before update or delete on audit_event
      for each row execute function audit_event_is_append_only();
    create trigger audit_event_not_truncated before truncate on audit_event
      for each statement execute function audit_event_is_append_only();

    alter table batch_job_run
      -- Something of the body was taken out before it was stored.
      add column "isBodyRedacted" boolean not null default false,
      -- The whole body, encrypted, for as long as the run may be started again.
      add column "sealedBody" bytea;
    create index batch_job_run_sealed on batch_job_run (id) where "sealedBody" is not null;
  `);
}

export async function down(knex: Knex): Promise<void> {
  await knex.raw(`
    alter table batch_job_run drop column "isBodyRedacted", drop column "sealedBody";
    drop table audit_event;
    drop function audit_event_is_append_only();
  `);
}
