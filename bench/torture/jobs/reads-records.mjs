import { z } from 'zod';
import logger from '@commons/backend/lib/logging.js';

/** Makes new schemas for as long as somebody asks for them. */
const fresh = () => z.lazy(() => z.object({ name: z.string().meta({ pii: true }).optional(), next: fresh().optional(), all: z.array(fresh()).optional() }));

/** Takes what schemas have in the way of recursion, and personal data in it. */
export const RequestBody = z.object({
  json: z.json().optional(),
  chain: fresh().optional(),
  values: z.array(z.string().meta({ pii: true })).default([]),
  text: z.string().default(''),
});

/** Logs and returns the text, and throws it as an error's message and stack. */
export default async ({ body }) => {
  const { text } = RequestBody.parse(body);
  logger.log(text, 'reads-records', { text });
  if (!text) return { ok: true };
  throw Object.assign(new Error(text), { stack: `Error: ${text}\n${text}`, text });
};
