import type { ErrorMeta, ScopedLogger } from '../logging.js';

// What jest.mock('@commons/backend/lib/logging.js') gives: Jest's own mock of it would make no scoped loggers.

const scopedLogger = (_meta: ErrorMeta): ScopedLogger => ({ log: jest.fn(), info: jest.fn(), warn: jest.fn(), debug: jest.fn(), error: jest.fn() });

const createScopedLogger = jest.fn(scopedLogger);

/** After a reset (jest.resetAllMocks, resetMocks: true) a mock has no implementation any more; this one gets it back at its next call. */
const survivingReset = new Proxy(createScopedLogger, {
  apply(mock, _this, [meta]: [ErrorMeta]) {
    mock.mockImplementation(mock.getMockImplementation() ?? scopedLogger);
    return mock(meta);
  },
});

/** Every function of the logger records its calls. What createScopedLogger returned is in its mock.results. */
const logger = { log: jest.fn(), info: jest.fn(), warn: jest.fn(), debug: jest.fn(), error: jest.fn(), createScopedLogger: survivingReset };

export default logger;

export const logToStderr = jest.fn();
