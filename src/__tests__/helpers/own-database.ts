import { randomBytes } from 'node:crypto';
import { closeDatabase } from '@commons/backend/lib/database/database.js';
import { createDatabase, dropDatabase, runName, urlOf } from './test-postgres.js';

// Every spec file has a database of its own, migrated and empty. Its address is known before the file's first import, for
// what reads the environment as it is loaded; the database itself is there from the first hook or test on.
//
// Jest runs afterAll hooks in the order they were written in, so this one comes before those that a spec file has outside
// any `describe`: they find the database gone.
const database = `${runName()}_${process.env.JEST_WORKER_ID}_${randomBytes(4).toString('hex')}`;
process.env.DATABASE_URL = urlOf(database);

beforeAll(() => createDatabase(database));

afterAll(async () => {
  await closeDatabase();
  await dropDatabase(database);
});
