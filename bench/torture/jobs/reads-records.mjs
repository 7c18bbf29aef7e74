import { z } from 'zod';
import logger from '@commons/backend/lib/logging.js';

/** Holds itself, by lazies that are written where they are used. */
const Node = z.object({
  name: z.string().meta({ pii: true }).optional(),
  get next() {
    return z.lazy(() => z.object({ name: z.string().meta({ pii: true }).optional(), all: z.array(Node) })).or(Node).optional();
  },
  all: z.lazy(() => z.array(z.lazy(() => Node))).optional(),
});

/** Takes what schemas have in the way of recursion, and personal data in it. */
export const RequestBody = z.object({
  json: z.json().optional(),
  chain: Node.optional(),
  values: z.array(z.string().meta({ pii: true })).default([]),
  text: z.string().default(''),
});

/** Logs the text, and throws it as an error's message and stack. */
export default async ({ body }) => {
  const { text } = RequestBody.parse(body);
  logger.log(text, 'reads-records', { text });
  if (!text) return { ok: true };
  throw Object.assign(new Error(text), { stack: `Error: ${text}\n${text}`, text });
};
