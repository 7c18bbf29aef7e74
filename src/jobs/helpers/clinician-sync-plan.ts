import type { ClinicianMapping } from '@commons/backend/models/tables.js';
import type { ClinicianFacts, DirectoryClinician } from './clinician-directory.js';

export type LocalMapping = Pick<ClinicianMapping, 'id' | 'npi' | 'externalId' | 'displayName' | 'email' | 'syncedState'>;

/** A clinician here who has no mapping yet, by e-mail in lower case. */
export type UnmappedUsers = ReadonlyMap<string, { readonly id: string }>;

/** What is to be done for one clinician; those with a reason are for a person to decide. */
export type SyncStep =
  /** Both sides say the same, and it is known. */
  | { readonly action: 'none'; readonly local: LocalMapping; readonly remote: DirectoryClinician }
  /** Both sides say the same, and that is not on record yet. */
  | { readonly action: 'link'; readonly local: LocalMapping; readonly remote: DirectoryClinician }
  /** Changed here alone. */
  | { readonly action: 'push'; readonly local: LocalMapping; readonly remote: DirectoryClinician }
  /** Changed there alone. */
  | { readonly action: 'pull'; readonly local: LocalMapping; readonly remote: DirectoryClinician }
  /** New here. */
  | { readonly action: 'create'; readonly local: LocalMapping; readonly remote?: undefined }
  /** New there, and one of our users by e-mail. */
  | { readonly action: 'adopt'; readonly local?: undefined; readonly remote: DirectoryClinician; readonly userId: string }
  | { readonly action: 'conflict'; readonly local: LocalMapping; readonly remote: DirectoryClinician; readonly reason: string }
  /** The directory had it once. Nothing is deleted here, and nothing created there again. */
  | { readonly action: 'gone'; readonly local: LocalMapping; readonly remote?: undefined; readonly reason: string }
  | { readonly action: 'unknown'; readonly local?: undefined; readonly remote: DirectoryClinician; readonly reason: string };

export const factsOf = ({ displayName, email }: ClinicianFacts): ClinicianFacts => ({ displayName, email });

export const isSame = (a: ClinicianFacts, b: ClinicianFacts): boolean => a.displayName === b.displayName && a.email === b.email;

/**
 * Compares both sides with what they last agreed on (a three-way comparison, of whole records: two changes to one record are a
 * conflict even where they touch different fields, since nobody has seen them together). Pure: it reads and writes nothing.
 */
export function planSync(locals: readonly LocalMapping[], remotes: readonly DirectoryClinician[], unmapped: UnmappedUsers): SyncStep[] {
  const byId = new Map(remotes.map((remote) => [remote.id, remote]));
  const linkedTo = new Map(locals.flatMap((local) => (local.externalId === null ? [] : [[local.externalId, local] as const])));
  // One that is linked belongs to its mapping, whatever NPI it has by now.
  const freeByNpi = new Map(remotes.filter(({ id }) => !linkedTo.has(id)).map((remote) => [remote.npi, remote]));
  const steps = locals.map((local) => planLocal(local, local.externalId === null ? freeByNpi.get(local.npi) : byId.get(local.externalId)));
  const met = new Set(steps.flatMap(({ remote }) => (remote ? [remote.id] : [])));
  const adopted = new Set<string>();
  const known = new Set(locals.map(({ npi }) => npi));
  for (const remote of byId.values()) if (!met.has(remote.id)) steps.push(planRemote(remote, unmapped, { adopted, known }));
  return steps;
}

function planLocal(local: LocalMapping, remote: DirectoryClinician | undefined): SyncStep {
  if (!remote && local.externalId === null) return { action: 'create', local };
  if (!remote) return { action: 'gone', local, reason: 'The directory no longer has this clinician.' };
  if (remote.npi !== local.npi) return { action: 'conflict', local, remote, reason: 'The directory has another NPI for this clinician.' };
  const { syncedState } = local;
  if (isSame(local, remote)) {
    const isKnown = local.externalId !== null && syncedState !== null && isSame(local, syncedState);
    return { action: isKnown ? 'none' : 'link', local, remote };
  }
  if (syncedState === null) return { action: 'conflict', local, remote, reason: 'Both sides differ, and have never agreed.' };
  if (isSame(remote, syncedState)) return { action: 'push', local, remote };
  if (isSame(local, syncedState)) return { action: 'pull', local, remote };
  return { action: 'conflict', local, remote, reason: 'Both sides have changed since they last agreed.' };
}

function planRemote(remote: DirectoryClinician, unmapped: UnmappedUsers, { adopted, known }: { adopted: Set<string>; known: Set<string> }): SyncStep {
  const user = unmapped.get(remote.email.toLowerCase());
  if (!user) return { action: 'unknown', remote, reason: 'No clinician without a mapping has this e-mail here.' };
  if (adopted.has(user.id)) return { action: 'unknown', remote, reason: 'The directory has this e-mail more than once.' };
  if (known.has(remote.npi)) return { action: 'unknown', remote, reason: 'A mapping has this NPI already.' };
  adopted.add(user.id);
  known.add(remote.npi);
  return { action: 'adopt', remote, userId: user.id };
}
