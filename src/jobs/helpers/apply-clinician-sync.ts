import knex from '@commons/backend/lib/knex.js';
import type { ClinicianDirectory, ClinicianFacts } from './clinician-directory.js';
import { factsOf, type LocalMapping, type SyncStep } from './clinician-sync-plan.js';

/** The mapping has changed here since it was read, so that nothing was written over it. */
export class MappingConflict extends Error {
  override readonly name = 'MappingConflict';
}

/**
 * Does what `step` says, at both sides. Each part is harmless when repeated: a process that dies between the directory and the
 * database leaves two sides that say the same, which the next run links.
 * @param by the user to whom writes are attributed
 * @throws {DirectoryConflict | MappingConflict} when a side has changed since it was read; nothing of it was overwritten
 */
export async function applySyncStep(step: SyncStep, directory: ClinicianDirectory, by: string | undefined): Promise<void> {
  switch (step.action) {
    case 'link':
      return agree(step.local, factsOf(step.remote), step.remote.id, by);
    case 'pull':
      return pull(step.local, factsOf(step.remote), by);
    case 'push': {
      await directory.update(step.remote, factsOf(step.local));
      return agree(step.local, factsOf(step.local), step.remote.id, by);
    }
    case 'create': {
      const { id } = await directory.create({ npi: step.local.npi, ...factsOf(step.local) }, step.local.id);
      return agree(step.local, factsOf(step.local), id, by);
    }
    case 'adopt': {
      const { id: externalId, npi, displayName, email } = step.remote;
      const mapping = { userId: step.userId, npi, externalId, displayName, email, createdBy: by, updatedBy: by };
      const inserted = await knex('clinician_mapping').insert({ ...mapping, ...agreement(step.remote) }).onConflict().ignore().returning('id');
      if (inserted.length === 0) throw new MappingConflict('Another mapping of this clinician has been made since it was read.');
      return;
    }
    default:
  }
}

/**
 * Records what both sides last agreed on. It is what was sent, not what the directory made of it: if it keeps another spelling, that
 * is a change of its own, which the next run pulls. It also holds if the mapping has changed here meanwhile: the next run pushes that.
 */
async function agree({ id }: LocalMapping, facts: ClinicianFacts, externalId: string, by: string | undefined): Promise<void> {
  await knex('clinician_mapping').where({ id }).update({ externalId, ...agreement(facts), updatedAt: knex.fn.now(), updatedBy: by });
}

async function pull({ id, displayName, email }: LocalMapping, facts: ClinicianFacts, by: string | undefined): Promise<void> {
  const updated = await knex('clinician_mapping')
    .where({ id, displayName, email })
    .update({ ...facts, ...agreement(facts), updatedAt: knex.fn.now(), updatedBy: by });
  if (updated === 0) throw new MappingConflict('The mapping has changed here since it was read.');
}

const agreement = (facts: ClinicianFacts) => ({ syncedState: JSON.stringify(factsOf(facts)), syncedAt: knex.fn.now() });
