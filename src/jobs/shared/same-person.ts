import { normalForm } from '../../lib/text/normal-form.js';

/** What two records of one person are told by. */
export interface PersonRecord {
  readonly id: string;
  readonly firstName: string;
  readonly lastName: string;
  /** Such as 1980-01-31. */
  readonly birthDate: string;
  readonly email: string | null;
  readonly phone: string | null;
  readonly zipCode: string | null;
  /** Whether they are cared for at present. */
  readonly status: string;
}

/** Records that share a name, a birth date and contacts, in the order they were given in. */
export interface LinkedRecords<Person> {
  readonly people: readonly Person[];
  /** What they say differently of the person. Where this is empty, they are taken for one person. */
  readonly contradictions: readonly ('email' | 'phone' | 'zipCode' | 'status')[];
}

/**
 * A name as it is compared: without case, accents, white space and punctuation, so that José-Luis O’Neil is joseluisoneil.
 * Letters stay what they are (ł is no l), and so do marks that are no accents (those of Indic scripts are vowels).
 */
export const nameForm = (name: string): string =>
  // U+02BB and U+02BC are apostrophes by use, and letters by their category.
  normalForm(name, 'NFKD').replace(/[\u0300-\u036F\u02BB\u02BC\p{P}\p{Z}\p{S}\p{C}]/gu, '').toLowerCase();

/** Names that a hospital gives a newborn until it has its own: twins share them, with birth date and contacts. */
const PLACEHOLDER = /^(baby|newborn|infant|twin|triplet|unknown)/;

/**
 * Which of `people` are records of the same person, as far as their data can say. To take two people for one does more harm
 * than to leave two records of one, so it takes much: the same first and last name (nameForm) and birth date, which people
 * who are not the same do share, and beside them a contact that both have, the same e-mail address, phone number or ZIP code.
 * Whoever is linked so, directly or by a third record, but differs in another contact or in status, is for a person to
 * judge: one phone number in common and two e-mail addresses may be one person or two. Twins share all but the first name.
 */
export function linkSamePersons<Person extends PersonRecord>(people: readonly Person[]): LinkedRecords<Person>[] {
  return namesakesAmong(people).flatMap((namesakes) =>
    linkByContacts(namesakes)
      .filter((linked) => linked.length > 1)
      .map((linked) => ({ people: linked, contradictions: contradictionsAmong(linked) })),
  );
}

function namesakesAmong<Person extends PersonRecord>(people: readonly Person[]): Person[][] {
  return groupBy(people, ({ firstName, lastName, birthDate }) => {
    const [first, last] = [nameForm(firstName), nameForm(lastName)];
    return first === '' || last === '' || PLACEHOLDER.test(first) ? undefined : `${birthDate} ${last} ${first}`;
  });
}

/** Puts together who has a contact in common, directly or by others. */
function linkByContacts<Person extends PersonRecord>(people: readonly Person[]): Person[][] {
  // A union-find: each place points to an earlier one of the same group, and the group's first to itself.
  const earlier = people.map((_, place) => place);
  const firstOf = (place: number): number => {
    let at = place;
    while (earlier[at] !== at) at = earlier[at] = earlier[earlier[at]!]!;
    return at;
  };
  const firstWith = new Map<string, number>();
  for (const [place, person] of people.entries()) {
    for (const [kind, value] of Object.entries(contactsOf(person))) {
      if (value === undefined) continue;
      const known = firstWith.get(`${kind} ${value}`);
      if (known === undefined) firstWith.set(`${kind} ${value}`, place);
      else {
        const [low, high] = [firstOf(known), firstOf(place)].toSorted((a, b) => a - b);
        earlier[high!] = low!;
      }
    }
  }
  return groupBy(people, (_, place) => firstOf(place));
}

/** Those of the same key, each group in the order of `items`; those without a key in none. */
function groupBy<Item>(items: readonly Item[], keyOf: (item: Item, place: number) => string | number | undefined): Item[][] {
  const groups = new Map<string | number, Item[]>();
  for (const [place, item] of items.entries()) {
    const key = keyOf(item, place);
    const group = key === undefined ? undefined : groups.get(key);
    if (group) group.push(item);
    else if (key !== undefined) groups.set(key, [item]);
  }
  return [...groups.values()];
}

function contradictionsAmong(people: readonly PersonRecord[]): LinkedRecords<unknown>['contradictions'] {
  const facts = people.map((person) => ({ ...contactsOf(person), status: person.status }));
  return (['email', 'phone', 'zipCode', 'status'] as const).filter(
    (fact) => new Set(facts.map((each) => each[fact]).filter((value) => value !== undefined)).size > 1,
  );
}

/** Contacts as they are compared; what is empty, or no contact at all, is undefined. */
function contactsOf({ email, phone, zipCode }: PersonRecord) {
  return { email: email?.trim().toLowerCase() || undefined, phone: phoneForm(phone ?? ''), zipCode: zipCode?.trim() || undefined };
}

/** Digits, without the country code of the US. One of a few digits, or of the same digit throughout, says nothing. */
function phoneForm(phone: string): string | undefined {
  const digits = phone.replace(/\D/g, '').replace(/^1(?=\d{10}$)/, '');
  return digits.length < 7 || /^(\d)\1*$/.test(digits) ? undefined : digits;
}
