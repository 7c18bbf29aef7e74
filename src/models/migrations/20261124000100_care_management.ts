import type { Knex } from 'knex';

/** A small care-management schema: what the jobs in src/jobs work on. Replace it by your own, and the jobs with it. */
export async function up(knex: Knex): Promise<void> {
  await knex.raw(`
    -- Ids that sort by the moment they were made (RFC 9562, version 7). Postgres 18 has uuidv7(); older ones have not.
    create function uuid_v7() returns uuid language sql volatile parallel safe as $$
      select encode(
        set_bit(set_bit(
          overlay(uuid_send(gen_random_uuid()) placing substring(int8send(floor(extract(epoch from clock_timestamp()) * 1000)::bigint) from 3) from 1 for 6),
        52, 1), 53, 1), 'hex')::uuid
    $$;

    -- A person who works here, or a job to which writes are attributed.
    create table "user" (
      id uuid primary key default uuid_v7(),
      email text not null check (email = lower(email)),
      "firstName" text not null,
      "lastName" text not null,
      role text not null check (role in ('clinician', 'operator', 'attribution')),
      "createdAt" timestamptz not null default now(),
      "updatedAt" timestamptz not null default now(),
      constraint user_email_unique unique (email)
    );

    -- Where care is offered: a state of the US is in one market at most.
    create table market (
      id uuid primary key default uuid_v7(),
      name text not null unique,
      state text not null unique check (state ~ '^[A-Z]{2}$'),
      "createdAt" timestamptz not null default now(),
      "updatedAt" timestamptz not null default now()
    );

    create table patient (
      id uuid primary key default uuid_v7(),
      -- The record's number in the system that it came from.
      "externalId" text unique,
      "firstName" text not null,
      "lastName" text not null,
      "birthDate" date not null,
      email text,
      phone text,
      -- No foreign key: zip_code is a cache, and a patient may know a code before it does.
      "zipCode" text check ("zipCode" ~ '^[0-9]{5}$'),
      "marketId" uuid references market (id),
      status text not null default 'active' check (status in ('active', 'discharged', 'inactive')),
      "dischargedAt" timestamptz,
      -- Where the record came from: 'manual', 'csv', or 'synthetic' for people who do not exist.
      source text not null default 'manual',
      "createdAt" timestamptz not null default now(),
      "createdBy" uuid references "user" (id),
      "updatedAt" timestamptz not null default now(),
      "updatedBy" uuid references "user" (id),
      "deletedAt" timestamptz,
      "deletedBy" uuid references "user" (id),
      check (status <> 'discharged' or "dischargedAt" is not null)
    );
    create index patient_without_market on patient (id) where "marketId" is null and "deletedAt" is null;
    create index patient_discharged on patient ("dischargedAt", id) where status = 'discharged' and "deletedAt" is null;
    -- Not unique: what finds duplicates must be able to meet them.
    create index patient_same_person on patient ("birthDate", lower("lastName"), lower("firstName")) where "deletedAt" is null;
    create index patient_market on patient ("marketId");

    create table workflow (
      id uuid primary key default uuid_v7(),
      "patientId" uuid not null references patient (id),
      type text not null check (type in ('onboarding', 'discharge', 'care_gap')),
      status text not null default 'open' check (status in ('open', 'completed', 'cancelled')),
      priority text not null default 'normal' check (priority in ('low', 'normal', 'high', 'urgent')),
      "dueAt" timestamptz,
      "closedAt" timestamptz,
      "cancelReason" text,
      "createdAt" timestamptz not null default now(),
      "createdBy" uuid references "user" (id),
      "updatedAt" timestamptz not null default now(),
      "updatedBy" uuid references "user" (id),
      check ((status = 'open') = ("closedAt" is null)),
      check (status <> 'cancelled' or "cancelReason" is not null)
    );
    -- Whoever starts workflows may be called twice, or twice at once.
    create unique index workflow_one_open on workflow ("patientId", type) where status = 'open';
    create index workflow_open_due on workflow ("dueAt", id) where status = 'open';
    create index workflow_patient on workflow ("patientId");

    create table task (
      id uuid primary key default uuid_v7(),
      "patientId" uuid not null references patient (id),
      "workflowId" uuid references workflow (id),
      title text not null,
      status text not null default 'open' check (status in ('open', 'done', 'cancelled')),
      "assignedTo" uuid references "user" (id),
      "dueAt" timestamptz,
      -- From then on an open task is of no use to anybody.
      "expiresAt" timestamptz,
      "createdAt" timestamptz not null default now(),
      "createdBy" uuid references "user" (id),
      "updatedAt" timestamptz not null default now(),
      "updatedBy" uuid references "user" (id),
      "deletedAt" timestamptz,
      "deletedBy" uuid references "user" (id),
      "deleteReason" text
    );
    create index task_expiring on task ("expiresAt", id) where status = 'open' and "deletedAt" is null;
    create index task_patient on task ("patientId");
    create index task_workflow on task ("workflowId");

    -- A cache of what the warehouse knows of a member: the newest value of each signal.
    create table member_signal (
      "memberId" text not null,
      signal text not null,
      value double precision not null,
      "observedAt" timestamptz not null,
      "updatedAt" timestamptz not null default now(),
      primary key ("memberId", signal)
    );

    -- Our clinicians and the same people in the directory that another company keeps.
    create table clinician_mapping (
      id uuid primary key default uuid_v7(),
      "userId" uuid not null unique references "user" (id),
      -- National Provider Identifier.
      npi text not null unique check (npi ~ '^[0-9]{10}$'),
      -- The directory's id, once it has one.
      "externalId" text unique,
      "displayName" text not null,
      email text not null,
      -- What both sides said when they last agreed: { displayName, email }. It tells whose side has changed since.
      "syncedState" jsonb,
      "syncedAt" timestamptz,
      "createdAt" timestamptz not null default now(),
      "createdBy" uuid references "user" (id),
      "updatedAt" timestamptz not null default now(),
      "updatedBy" uuid references "user" (id)
    );
  `);
}

export async function down(knex: Knex): Promise<void> {
  await knex.raw('drop table clinician_mapping, member_signal, task, workflow, patient, market, "user"');
  await knex.raw('drop function uuid_v7()');
}
