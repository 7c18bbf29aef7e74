import { z, type ZodType } from 'zod';
import { knowsDryRun } from '@commons/backend/runs/knows-dry-run.js';
import { RequestBody as Sync } from '@commons/backend/jobs/sync-clinician-mappings.js';

const isDryRun = z.boolean().default(false);
const preview = z.object({ mode: z.literal('preview'), isDryRun });

describe('knowsDryRun', () => {
  it.each<[string, ZodType]>([
    ['an object', z.object({ isDryRun })],
    ['an object with a refinement', z.object({ isDryRun }).refine(() => true)],
    ['an object that is transformed', z.object({ isDryRun }).transform((body) => body)],
    ['an object with a default', z.object({ isDryRun }).default({ isDryRun: false })],
    ['an intersection', z.object({ limit: z.number() }).and(z.object({ isDryRun }))],
    ['a union', z.union([preview, z.object({ isDryRun })])],
    ['a discriminated union', z.discriminatedUnion('mode', [preview, z.object({ mode: z.literal('apply'), isDryRun }).refine(() => true)])],
    ['sync-clinician-mappings', Sync],
  ])('is true of %s that has isDryRun', (_what, schema) => {
    expect(knowsDryRun(schema)).toBe(true);
  });

  it.each<[string, ZodType]>([
    ['an object without it', z.object({ dryRun: isDryRun })],
    ['a union of which one lacks it', z.discriminatedUnion('mode', [preview, z.object({ mode: z.literal('apply') })])],
    ['no object', z.string()],
    ['what hides what it takes', z.preprocess((body) => body, z.unknown())],
    ['the schema of another Zod', { parse: () => ({}) } as unknown as ZodType],
  ])('is false of %s', (_what, schema) => {
    expect(knowsDryRun(schema)).toBe(false);
  });
});
