import { z } from 'zod';

/** Takes a body of a certain form, with personal data in it. */
export const RequestBody = z.object({ name: z.string().meta({ pii: true }), tags: z.array(z.string()).default([]), counts: z.record(z.string(), z.number()).optional() });

export default async ({ body }) => ({ tags: RequestBody.parse(body).tags.length });
