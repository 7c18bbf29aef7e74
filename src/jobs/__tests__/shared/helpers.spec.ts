import { uploadResultsToGCS } from '@commons/backend/jobs/shared/helpers.js';

const call = uploadResultsToGCS as (...args: unknown[]) => Promise<unknown>;

describe('uploadResultsToGCS', () => {
  it.each<[string, unknown[], string]>([
    ['in an older shape', ['rosters/today.csv', 'a,b\r\n'], 'name and content and contentType are missing'],
    ['with nothing', [], 'name and content and contentType are missing'],
    ['without a type', [{ name: 'a.csv', content: 'a' }], 'contentType is missing'],
    ['with what is no content', [{ name: 'a.csv', content: { rows: [] }, contentType: 'text/csv' }], 'content is missing'],
  ])('called %s, shows the right call', async (_what, args, missing) => {
    await expect(call(...args)).rejects.toThrow(`uploadResultsToGCS takes one object, in which ${missing}: uploadResultsToGCS({ name: 'rosters/today.csv', content, contentType: 'text/csv; charset=utf-8' })`);
  });
});
