import type { RequestHandler } from 'express';
import { dryRunWishIn } from '../../runs/dry-run-wish.js';
import { ServiceError } from '../../lib/errors/service-error.js';

/** Refuses a call whose address asks for a dry run: jobs read their body, so it would be run for real. */
export const dryRunQueryHandler: RequestHandler = (req, _res, next) => {
  const wish = dryRunWishIn({ ...req.query }) ?? (isAskedBare(req.url) ? 'isDryRun' : undefined);
  if (wish !== undefined) {
    throw new ServiceError(400, `The address asks for a dry run (?${wish}), and jobs take that from the body alone, so nothing was run. Add "isDryRun": true to the body.`);
  }
  next();
};

/** `?isDryRun` with no value, which for a switch is a yes. */
const isAskedBare = (url: string): boolean => /[?&](?:is[-_]?)?dry[-_]?run=?(?:&|$)/i.test(url);
