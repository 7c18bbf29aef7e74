import type { ScopedLogger } from '../logging.js';

// What jest.mock('@commons/backend/lib/logging.js') gives: Jest's own mock of it would make no scoped loggers.

const scopedLogger = (): ScopedLogger => ({ log: jest.fn(), info: jest.fn(), warn: jest.fn(), debug: jest.fn(), error: jest.fn() });

/** Every function of the logger records its calls. What createScopedLogger returned is in its mock.results. */
const logger = { log: jest.fn(), info: jest.fn(), warn: jest.fn(), debug: jest.fn(), error: jest.fn(), createScopedLogger: jest.fn(scopedLogger) };

export default logger;

export const logToStderr = jest.fn();
