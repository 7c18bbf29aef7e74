import os from 'node:os';
import type { Requester } from '../lib/auth/requester.js';
import { userName } from './user-name.js';

/** Who sits at this terminal: what the machine says, which nobody has verified. */
export const terminalUser = (): Requester => ({ name: userName(), isVerified: false, source: `command line on ${os.hostname()}` });
