import os from 'node:os';
import type { Origin } from '../runs/records/audit-event.js';
import { userName } from './user-name.js';

/** Who sits at this terminal, for the audit trail: what the machine says, which nobody has verified. */
export const cliOrigin = (): Origin => ({ caller: userName(), isVerified: false, source: `command line on ${os.hostname()}` });
