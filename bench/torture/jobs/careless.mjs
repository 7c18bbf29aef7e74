import { z } from 'zod';
import logger from '@commons/backend/lib/logging.js';
import { currentRun } from '@commons/backend/lib/run-scope.js';

/** Handles personal data without any care: it logs, throws, returns and reports its whole body. */
export const RequestBody = z.object({
  mode: z.enum(['logs', 'throws', 'fails', 'progress', 'returns']),
  phone: z.string().meta({ pii: true }),
  patient: z.object({ name: z.string().meta({ pii: true }), pin: z.string().meta({ secret: true }) }),
  password: z.string(),
});

const MODES = {
  logs: (body) => logger.log(`calling ${body.patient.name} at ${body.phone}`, 'careless', body),
  throws(body) {
    throw Object.assign(new Error(`no answer at ${body.phone}: ${JSON.stringify(body)}`), { body });
  },
  fails: (body) => currentRun().failure({ key: 1, error: new Error(`not ${body.patient.name}, ${body.patient.pin}`) }),
  progress: (body) => currentRun().progress({ processed: 1, paused: `at ${body.phone}` }),
  returns: (body) => ({ ...body }),
};

export default async (req) => {
  const body = RequestBody.parse(req.body);
  logger.debug('headers', 'careless', { headers: req.headers });
  return MODES[body.mode](body);
};
