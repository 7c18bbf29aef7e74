import type { Knex } from 'knex';

export async function up(knex: Knex): Promise<void> {
  await knex.raw(`
    create table zip_code (
      -- Text, not a number: many codes start with 0.
      code text primary key check (code ~ '^[0-9]{5}$'),
      city text not null,
      -- Military codes (APO, FPO) are in no state and no county.
      state text,
      "stateName" text,
      county text,
      latitude double precision not null check (latitude between -90 and 90),
      longitude double precision not null check (longitude between -180 and 180),
      "updatedAt" timestamptz not null default now()
    )
  `);
}

export async function down(knex: Knex): Promise<void> {
  await knex.raw('drop table zip_code');
}
