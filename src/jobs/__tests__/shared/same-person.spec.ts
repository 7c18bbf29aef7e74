import fc from 'fast-check';
import { linkSamePersons, nameForm, type PersonRecord } from '@commons/backend/jobs/shared/same-person.js';

let made = 0;
/** A record that shares name and birth date with every other, and no contact but for what `columns` say. */
const record = (columns: Partial<PersonRecord> = {}): PersonRecord => ({
  id: String(++made),
  firstName: 'Example',
  lastName: 'Person',
  birthDate: '1980-01-31',
  email: null,
  phone: null,
  zipCode: null,
  status: 'active',
  ...columns,
});

const phone = '+1 212 555 0100';

/** The columns of two or more records; whether these are taken for one person. */
const areSame = (...records: Partial<PersonRecord>[]) => {
  const links = linkSamePersons(records.map(record));
  return links.length === 1 && links[0]!.people.length === records.length && links[0]!.contradictions.length === 0;
};

describe('nameForm', () => {
  it.each([
    ['case', 'EXAMPLE', 'example'],
    ['accents, however they are encoded', 'José'.normalize('NFC'), 'Jose\u0301'.normalize('NFD')],
    ['accents', 'Łukasz Núñez', 'łukasz nunez'],
    ['white space', ' Anna  Maria\t', 'annamaria'],
    ['hyphens of all kinds', 'Anna-Maria', 'Anna‑Maria'],
    ['apostrophes of all kinds', "O'Neil", 'O’Neil'],
    ['apostrophes that are letters', 'Kaʻiulani', "Ka'iulani"],
    ['full stops', 'J. R.', 'JR'],
    ['width', 'ＡＮＮ', 'ann'],
    ['invisible characters', 'An\u200Bna', 'anna'],
  ])('does not heed %s', (_what, a, b) => {
    expect(nameForm(a)).toBe(nameForm(b));
  });

  it.each([
    ['letters', 'Anna', 'Anne'],
    ['a letter that only looks like one with an accent', 'Łukasz', 'Lukasz'],
    ['generations', 'Example Jr.', 'Example'],
    ['other scripts', '李明', '李红'],
    ['vowel signs', 'कि', 'की'],
    ['voiced kana', 'か', 'が'],
  ])('tells %s apart', (_what, a, b) => {
    expect(nameForm(a)).not.toBe(nameForm(b));
  });

  it('is a form: that of a form is itself', () => {
    fc.assert(fc.property(fc.string({ unit: 'grapheme' }), (name) => expect(nameForm(nameForm(name))).toBe(nameForm(name))));
  });
});

describe('linkSamePersons', () => {
  it.each<[string, Partial<PersonRecord>[]]>([
    ['the phone number', [{ phone }, { phone }]],
    ['the phone number, written otherwise', [{ phone }, { phone: '(212) 555-0100' }]],
    ['the e-mail address, in other letters', [{ email: 'a@example.com' }, { email: ' A@Example.com' }]],
    ['the ZIP code', [{ zipCode: '10001' }, { zipCode: '10001' }]],
    ['one contact, where the others are on one side only', [{ phone, email: 'a@example.com' }, { phone, zipCode: '10001' }]],
    ['a contact with a third record each', [{ phone }, { phone, email: 'a@example.com' }, { email: 'a@example.com' }]],
    ['a contact, and a name that is written otherwise', [{ phone, firstName: 'JOSÉ', lastName: "O'Neil" }, { phone, firstName: 'jose', lastName: 'O’Neil' }]],
  ])('takes namesakes with the same birth date for one person who share %s', (_what, records) => {
    expect(areSame(...records)).toBe(true);
  });

  it.each<[string, Partial<PersonRecord>[]]>([
    ['share no contact', [{}, {}]],
    ['have contacts on one side only', [{ phone }, { email: 'a@example.com' }]],
    ['have all contacts different', [{ phone, zipCode: '10001' }, { phone: '+1 212 555 0101', zipCode: '10002' }]],
    ['have another birth date', [{ phone }, { phone, birthDate: '1980-02-01' }]],
    ['have another first name, as twins do', [{ phone, zipCode: '10001' }, { phone, zipCode: '10001', firstName: 'Instance' }]],
    ['have another last name', [{ phone }, { phone, lastName: 'Persons' }]],
    ['have first and last name the other way round', [{ phone }, { phone, firstName: 'Person', lastName: 'Example' }]],
    ['have a name of no letters', [{ phone, firstName: '-' }, { phone, firstName: '-' }]],
    ['have the name that a hospital gives each of two twins', [{ phone, firstName: 'Baby Girl' }, { phone, firstName: 'BabyGirl' }]],
    ['share a phone number that is none', [{ phone: '000-000-0000' }, { phone: '0000000000' }]],
    ['share a phone number that is too short', [{ phone: '5550' }, { phone: '5550' }]],
    ['share blank contacts', [{ email: ' ', phone: '', zipCode: '' }, { email: ' ', phone: '', zipCode: '' }]],
    ['have the same text in different contacts', [{ email: '10001' }, { zipCode: '10001' }]],
  ])('links no two who %s', (_what, records) => {
    expect(linkSamePersons(records.map(record))).toEqual([]);
  });

  it.each<[string, string[], Partial<PersonRecord>[]]>([
    ['phone numbers', ['phone'], [{ zipCode: '10001', phone }, { zipCode: '10001', phone: '+1 212 555 0101' }]],
    ['e-mail addresses', ['email'], [{ phone, email: 'a@example.com' }, { phone, email: 'b@example.com' }]],
    ['ZIP codes', ['zipCode'], [{ phone, zipCode: '10001' }, { phone, zipCode: '10002' }]],
    ['statuses', ['status'], [{ phone }, { phone, status: 'discharged' }]],
    ['several of these', ['email', 'zipCode'], [{ phone, email: 'a@example.com', zipCode: '10001' }, { phone, email: 'b@example.com', zipCode: '10002' }]],
    ['these at two ends of a chain', ['email'], [{ email: 'a@example.com', phone }, { phone, zipCode: '10001' }, { zipCode: '10001', email: 'b@example.com' }]],
  ])('says that linked ones contradict each other in %s', (_what, contradictions, records) => {
    expect(linkSamePersons(records.map(record))).toEqual([{ people: expect.any(Array), contradictions }]);
  });

  it('gives each group in the order of its records', () => {
    const people = [{ phone }, { zipCode: '10001', firstName: 'Instance' }, { email: 'a@example.com' }, { zipCode: '10001', firstName: 'Instance' }, { email: 'a@example.com', phone }].map(record);
    expect(linkSamePersons(people).map((group) => group.people)).toEqual([
      [people[0], people[2], people[4]],
      [people[1], people[3]],
    ]);
  });

  it('puts the same records together in whatever order they come, and none in two groups', () => {
    const few = (...values: (string | null)[]) => fc.constantFrom(...values);
    const person = fc.record({
      firstName: fc.constantFrom('Example', 'EXAMPLE', 'Instance'),
      email: few(null, null, 'a@example.com', 'b@example.com', 'c@example.com'),
      phone: few(null, null, phone, '+1 212 555 0101', '+1 212 555 0102'),
      zipCode: few(null, null, '10001', '10002', '10003'),
    });
    const groupsOf = (people: PersonRecord[]) =>
      linkSamePersons(people)
        .map((group) => ({ ...group, people: group.people.map(({ id }) => id).toSorted() }))
        .toSorted((a, b) => (a.people[0]! < b.people[0]! ? -1 : 1));
    fc.assert(
      fc.property(fc.array(person, { maxLength: 12 }), fc.nat(), (columns, turn) => {
        const people = columns.map(record);
        const groups = groupsOf(people);
        const ids = groups.flatMap((group) => group.people);
        expect(new Set(ids).size).toBe(ids.length);
        expect(groupsOf(people.toReversed())).toEqual(groups);
        expect(groupsOf([...people.slice(turn % 12), ...people.slice(0, turn % 12)])).toEqual(groups);
      }),
    );
  });

  it('gets through 20,000 namesakes, as a system has that gives whom it does not know a name and a date', () => {
    const people = Array.from({ length: 20_000 }, (_, place) => record({ email: `${place % 10_000}@example.com`, zipCode: null }));
    expect(linkSamePersons(people)).toHaveLength(10_000);
  });
});
