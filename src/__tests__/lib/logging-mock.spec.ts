import logger from '@commons/backend/lib/logging.js';

jest.mock('@commons/backend/lib/logging.js');

describe("jest.mock('@commons/backend/lib/logging.js')", () => {
  it('leaves scoped loggers that work, and records what is logged', () => {
    const scoped = logger.createScopedLogger({ tag: 'my-job' });
    scoped.info('one');
    scoped.log('two', { n: 2 });
    scoped.error(new Error('three'));
    logger.info('four', 'my-job');
    expect(logger.createScopedLogger).toHaveBeenCalledWith({ tag: 'my-job' });
    expect(scoped.info).toHaveBeenCalledWith('one');
    expect(scoped.log).toHaveBeenCalledWith('two', { n: 2 });
    expect(scoped.error).toHaveBeenCalledWith(new Error('three'));
    expect(logger.info).toHaveBeenCalledWith('four', 'my-job');
    expect(logger.log).not.toHaveBeenCalled();
  });

  it('still makes scoped loggers after a reset, and what a spec has them return', () => {
    jest.resetAllMocks();
    expect(() => logger.createScopedLogger({ tag: 'my-job' }).info('one')).not.toThrow();
    expect(logger.createScopedLogger).toHaveBeenCalledTimes(1);
    const own = logger.createScopedLogger({});
    jest.mocked(logger.createScopedLogger).mockReturnValue(own);
    expect(logger.createScopedLogger({ tag: 'other' })).toBe(own);
  });

  it('has every function that the logger has', () => {
    const real = jest.requireActual<{ default: object }>('@commons/backend/lib/logging.js').default as typeof logger;
    expect(Object.keys(logger).toSorted()).toEqual(Object.keys(real).toSorted());
    expect(Object.keys(logger.createScopedLogger({})).toSorted()).toEqual(Object.keys(real.createScopedLogger({})).toSorted());
  });
});
