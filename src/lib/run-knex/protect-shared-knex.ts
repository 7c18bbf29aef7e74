import type { Knex } from 'knex';
import pg from 'pg';
import { refuseInRuns } from './refuse-in-runs.js';

const LISTENERS = ['on', 'addListener', 'once', 'prependListener', 'prependOnceListener', 'off', 'removeListener', 'removeAllListeners', 'setMaxListeners'] as const;
const LISTEN_ELSEWHERE = 'Listen on the query builder or on the transaction: knex(table).on(...), trx.on(...).';

/**
 * Refuses jobs what an author may try in good faith on a knex that all runs share: listeners, which would hear every other
 * run's SQL, settings, and another client. Reading is never refused, and code outside runs may do all of it. Pools protect
 * themselves (RunPool), so that no copy of the client can take them down.
 */
export function protectSharedKnex(knex: Knex): void {
  protectListeners(knex, 'knex');
  protectListeners(knex.client, 'knex.client');
  protectAccessor(knex, 'client', 'The client stays.');
  protectAccessor(knex, 'userParams', 'Use what knex.withUserParams() gives: that is your own.');
  knex.client.config = new Proxy(knex.client.config as object, {
    set(config, key, value, receiver) {
      refuseSetting(key);
      return Reflect.set(config, key, value, receiver);
    },
    defineProperty(config, key, descriptor) {
      refuseSetting(key);
      return Reflect.defineProperty(config, key, descriptor);
    },
    deleteProperty(config, key) {
      refuseSetting(key);
      return Reflect.deleteProperty(config, key);
    },
  });
}

/** Refuses jobs to change how values are read for the whole process, the service's own records too. */
export function protectDriver(): void {
  const { types } = pg;
  const setTypeParser = types.setTypeParser.bind(types) as (...given: unknown[]) => void;
  const refusing = (...given: unknown[]) => {
    refuseInRuns('call pg.types.setTypeParser()', 'Convert the values in the job, or cast them in the query: select id::int.');
    setTypeParser(...given);
  };
  Object.defineProperty(types, 'setTypeParser', { value: refusing, writable: true, enumerable: true, configurable: true });
}

const refuseSetting = (key: string | symbol) => refuseInRuns(`set knex.client.config.${String(key)}`, 'Use what knex.withUserParams({}) gives: its client.config is your own.');

/** Not enumerable, or knex would copy them to what is a run's own: its transactions, and what withUserParams() gives. */
function protectListeners(emitter: object, name: string): void {
  for (const method of LISTENERS) {
    const original = (emitter as Record<string, (...given: unknown[]) => unknown>)[method]!;
    const refusing = function (this: unknown, ...given: unknown[]) {
      refuseInRuns(`call ${name}.${method}()`, LISTEN_ELSEWHERE);
      return original.apply(this, given);
    };
    Object.defineProperty(emitter, method, { value: refusing, writable: true, configurable: true, enumerable: false });
  }
}

function protectAccessor(knex: Knex, name: 'client' | 'userParams', instead: string): void {
  const accessor = Object.getOwnPropertyDescriptor(knex, name)!;
  Object.defineProperty(knex, name, {
    ...accessor,
    set(this: Knex, value: unknown) {
      refuseInRuns(`set knex.${name}`, instead);
      accessor.set!.call(this, value);
    },
  });
}
