import { AsyncResource } from 'node:async_hooks';
import pg from 'pg';
import { isQueryCanceled, spoilsConnection } from '../errors/postgres-fault.js';
import { currentDatabase } from './current-database.js';
import { type Callback, isSubmittable, ownCopy, type QueryConfig, textOf } from './driver-query.js';
import { ConnectionGivenBack, DryRunWrite, isRefusedWrite, RunQueryError, RunStopped } from './errors.js';
import { ExactCount, type Question } from './exact-count.js';
import { DriverClient, type DriverQuery } from './pg-internals.js';
import { ReadOnlyGuard, sendOneStatementAtATime } from './read-only-guard.js';
import type { HeldConnection, RunDatabase } from './run-database.js';
import { SessionState } from './session-state.js';
import { statementsOf } from './statements-of.js';
import { stopConnection } from './stop-connection.js';
import { WriteCount } from './write-count.js';

const NOTHING = { command: 'ROLLBACK', rowCount: null, oid: 0, rows: [], fields: [] };

/**
 * One connection to the server, which works for one run at a time. Builder, raw, transactions, streams, COPY and raw
 * connections all come through query() here: it tags them, refuses them once the run was stopped, and sees them counted.
 */
export class RunConnection extends DriverClient implements HeldConnection {
  /** The run that it works for; undefined while it is free, or used outside runs. */
  run: RunDatabase | undefined;
  /** Code outside runs has it. */
  isHeldOutside = false;
  /** It is closed instead of being handed out again: it was cancelled, holds an open transaction, or could not be reset. */
  isSpent = false;
  readonly isReadOnly: boolean;
  /** Something was set up in its session when it was opened, which a reset would undo: it is closed instead. */
  hasSetUp = false;
  giveBack: () => Promise<void> = () => this.end().catch(ignore);
  readonly #count = new WriteCount((writes) => this.run?.addWrites(writes));
  readonly #exactCount = new ExactCount(this.#count);
  readonly #session = new SessionState(this);
  readonly #guard = new ReadOnlyGuard({
    getTransactionStatus: () => this.getTransactionStatus(),
    ask: (sql) => {
      const refusal = this.run?.refusal;
      return refusal ? Promise.reject(refusal) : (super.query(sql) as Promise<unknown>);
    },
  });
  #stopping: Promise<void> | undefined;

  /** @param isReadOnly for dry runs: whatever is sent while it works for one cannot write */
  constructor(config: pg.ClientConfig, isReadOnly: boolean) {
    super(config);
    this.isReadOnly = isReadOnly;
    // Not as a setting among `config`, where options in the connection string would win over it.
    const { connectionParameters: parameters } = this;
    if (isReadOnly) {
      parameters.options = `${parameters.options ?? ''} -c default_transaction_read_only=on`;
      sendOneStatementAtATime(this.connection);
    }
    // These come before pg's own listeners, which are added by connect(): the query at hand is still the active one.
    this.connection
      .on('commandComplete', ({ text }: { text: string }) => this.#statementDone(text))
      .on('errorMessage', (error: pg.DatabaseError) => this.#failed(error))
      .on('parameterStatus', ({ parameterName, parameterValue }: { parameterName: string; parameterValue: string }) => {
        if (parameterName === 'default_transaction_read_only') this.#guard.reportedDefault = parameterValue;
      })
      .on('readyForQuery', ({ status }: { status: string }) => this.#ready(status));
  }

  /** @throws {Error} when the server, or a pooler in between, did not take up what makes dry runs safe */
  async requireReadOnly(): Promise<void> {
    const { rows } = (await super.query('show default_transaction_read_only')) as pg.QueryResult<Record<string, string>>;
    if (rows[0]?.default_transaction_read_only === 'on') return;
    await this.end();
    throw new Error('The server did not make the connection read-only, so no dry run can be had. See whether a pooler drops startup options.');
  }

  /** Readies it for its next user. @param user undefined outside runs @returns false when it cannot be had; it was closed */
  async readyFor(user: RunDatabase | undefined): Promise<boolean> {
    await this.#session.readyFor(user);
    return !this.isSpent && !this.isGone;
  }

  isUsedBy(user: RunDatabase): boolean {
    return this.#session.run === user;
  }

  needsResetFor(user: RunDatabase | undefined): boolean {
    return this.#session.needsResetFor(user);
  }

  /** The run is over: its locks, and whatever else its session holds, end now, and not when the connection is next used. */
  leave(user: RunDatabase): void {
    if (!this.isUsedBy(user) || this.isSpent || this.isGone) return;
    if (!this.hasSetUp) return void this.#session.reset();
    this.isSpent = true;
    this.end().catch(ignore);
  }

  /** The server's part of the session, and the driver's. A dry run's connection is then read-only by default again, or is refused. */
  async discardAll(): Promise<void> {
    await super.query('discard all');
    this._types.text = {};
    this._types.binary = {};
    this.removeAllListeners('notification').removeAllListeners('notice').removeAllListeners('drain');
    if (this.isReadOnly && this.#guard.reportedDefault !== 'on') await this.requireReadOnly();
  }

  /** Closes it at once. */
  cut(): void {
    this.isSpent = true;
    this.connection.stream.destroy();
  }

  /** It was closed. */
  lose(): void {
    this.run?.lose(this);
    this.#session.run?.lose(this);
  }

  /** Resolves once what was sent is done, with what the guard of a dry run sends after it. */
  settled(): Promise<void> {
    return this.#guard.settled();
  }

  override query(config: unknown, values?: unknown, callback?: unknown): unknown {
    const { run } = this;
    if (config === null || config === undefined) return super.query(config, values, callback);
    if (!this.#isForCaller()) throw new ConnectionGivenBack();
    if (!run) return super.query(config, values, callback);
    if (isSubmittable(config)) return this.#submit(run, config, values, callback);
    const given = (typeof values === 'function' ? values : (callback ?? (config as QueryConfig).callback)) as Callback | undefined;
    const query = ownCopy(config as string | QueryConfig, typeof values === 'function' ? undefined : values);
    // A promise brings its caller's context back by itself, a bare callback comes in that of the socket.
    if (given) return this.send(query, AsyncResource.bind(given));
    return new Promise((resolve, reject) => this.send(query, (error, result) => (error ? reject(error) : resolve(result))));
  }

  /** As query(), for a caller whose `query` may be changed, and whose `callback` needs no context of its own. */
  send(query: QueryConfig, callback: Callback): void {
    const { run } = this;
    if (!this.#isForCaller()) return process.nextTick(callback, new ConnectionGivenBack());
    if (!run) return void super.query(query, undefined, callback);
    const sql = query.text ?? '';
    const { refusal } = run;
    if (refusal) return this.#refuse(refusal, sql, callback);
    if (this.isReadOnly) return this.#sendGuarded(run, query, callback);
    // A named statement is prepared once, and must keep its text.
    if (!query.name) query.text = run.tag + sql;
    const question = run.countsExactly ? this.#exactCount.questionFor(sql, this.readyForQuery && this.getTransactionStatus() === 'I') : undefined;
    const done: Callback = (error, result) => {
      if (error) callback(meaningOf(error, sql, run));
      else callback(null, result);
    };
    if (question) this.#sendWith(question, run, query, done);
    else super.query(query, undefined, done);
  }

  /**
   * Whether the calling run may use it: it is its own, or that of the run around it, which must not let a dry run write. Another
   * run's, or nobody's, would not count what it writes, nor keep it from writing in a dry run.
   */
  #isForCaller(): boolean {
    const caller = currentDatabase();
    if (!caller || caller === this.run) return true;
    return this.run !== undefined && caller.isWithin(this.run) && (this.isReadOnly || !caller.isDryRun);
  }

  /** Whether whoever calls has it, and so may give it back. */
  isHeldByCaller(): boolean {
    if (!this.run) return this.isHeldOutside;
    const caller = currentDatabase();
    return !caller || caller.isWithin(this.run);
  }

  stop(): Promise<void> {
    this.isSpent = true;
    return (this.#stopping ??= stopConnection(this, this.run?.refusal ?? new RunStopped(), async () => super.query('ROLLBACK')));
  }

  /** A text of several statements is answered as ever: by an array of results. */
  #sendGuarded(run: RunDatabase, query: QueryConfig, callback: Callback): void {
    const sql = query.text ?? '';
    const statements = query.name || query.values?.length ? [sql] : statementsOf(sql);
    const send = (statement: string) =>
      new Promise((resolve, reject) => {
        const { refusal } = run;
        if (refusal) return reject(refusal);
        const text = query.name ? query.text : run.tag + statement;
        super.query(Object.create(query, { text: { value: text }, callback: { value: undefined, writable: true } }), undefined, (error: Error | null, result: unknown) =>
          error ? reject(meaningOf(error, statement, run)) : resolve(result),
        );
      });
    this.#guard.sendEach(statements, send).then(
      (results) => process.nextTick(callback, null, results.length === 1 ? results[0] : results),
      (error: Error) => process.nextTick(callback, meaningOf(error, sql, run)),
    );
  }

  /** Sends `query` with a question right before or right after it. Its caller waits for both, since pg shall queue nothing. */
  #sendWith({ sql, when, answered }: Question, run: RunDatabase, query: QueryConfig, callback: Callback): void {
    const answeredInRun = AsyncResource.bind(answered);
    const ask = (then: (fault: Error | undefined) => void) =>
      super.query(run.tag + sql, undefined, (error: Error | null, result: unknown) => then(answeredInRun(error, result)));
    if (when === 'after') return void super.query(query, undefined, (error: Error | null, result: unknown) => ask(() => callback(error, result)));
    ask((fault) => {
      // Stopped meanwhile: a COMMIT would keep what stop() is about to roll back.
      if (run.refusal) process.nextTick(callback, run.refusal);
      else super.query(query, undefined, (error: Error | null, result: unknown) => callback(fault ?? error, result));
    });
  }

  /** A cursor or a COPY stream: it speaks the protocol itself, and emits in the context of the socket unless it is bound. */
  #submit(run: RunDatabase, query: DriverQuery, values: unknown, callback: unknown): unknown {
    const { refusal } = run;
    if (refusal) {
      process.nextTick(() => query.handleError(refusal, this.connection));
      return query;
    }
    const sql = textOf(query);
    if (query.emit) query.emit = AsyncResource.bind(query.emit);
    const handleError = query.handleError.bind(query);
    query.handleError = (error, connection) => handleError(meaningOf(error, sql, run), connection);
    if (!query.name) (query.cursor ?? query).text = run.tag + sql;
    if (!this.isReadOnly) return super.query(query, values, callback);
    const send = async () => {
      const late = run.refusal;
      if (late) throw late;
      if (!query.destroyed) await this.#untilReady(query, () => super.query(query, values, callback));
    };
    this.#guard.sendEach([sql], send).catch((error: Error) => query.handleError(error, this.connection));
    return query;
  }

  /** Resolves once the server is done with what `send` submits, however that went. */
  #untilReady(query: DriverQuery, send: () => void): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        this.connection.off('readyForQuery', done);
        this.off('end', done);
        resolve();
      };
      this.connection.on('readyForQuery', done);
      this.on('end', done);
      const submit = query.submit.bind(query);
      query.submit = (connection) => {
        const fault = submit(connection);
        // Nothing was sent, so nothing will be answered.
        if (fault) done();
        return fault;
      };
      send();
    });
  }

  /** A ROLLBACK is granted, since stop() does one: its caller then throws what made it roll back, and not this. */
  #refuse(refusal: RunStopped, sql: string, callback: Callback): void {
    if (/^\s*rollback\b/i.test(sql)) void this.stop().then(() => callback(null, NOTHING));
    else process.nextTick(callback, refusal);
  }

  /** It is closed, or about to be. */
  get isGone(): boolean {
    return this._ending || this._ended;
  }

  /** It has a query in flight. */
  get isBusy(): boolean {
    return !this.readyForQuery && !this.isGone;
  }

  #statementDone(tag: string): void {
    const query = this._getActiveQuery();
    if (!query) return;
    const sql = this.#untagged(query);
    // The driver has to forget them as well, or it would not prepare them again.
    if (tag === 'DISCARD ALL' || tag === 'DEALLOCATE ALL') this.connection.parsedStatements = {};
    this.#guard.statementDone(tag);
    this.#count.statementDone(query, sql, tag);
    this.#exactCount.statementDone(sql, tag);
  }

  #failed(error: pg.DatabaseError): void {
    const { severity } = error;
    // The server closes it, which is heard of only later.
    if (severity === 'FATAL' || severity === 'PANIC') this.isSpent = true;
    // Its server may no longer be written to (a failover): the next one may reach another. In a dry run that is as it should be.
    if (!this.isReadOnly && spoilsConnection(error)) this.isSpent = true;
    this.#count.failed();
  }

  #ready(status: string): void {
    const query = this._getActiveQuery();
    if (query?.cursor) this.#count.statementLeft(query, this.#untagged(query));
    this.#count.ready(status === 'I');
    if (status === 'I') this.#exactCount.idle();
  }

  #untagged(query: DriverQuery): string {
    const text = textOf(query);
    const tag = this.run?.tag;
    return tag && text.startsWith(tag) ? text.slice(tag.length) : text;
  }
}

function meaningOf(error: Error, sql: string, run: RunDatabase): Error {
  const code = error instanceof pg.DatabaseError ? error.code : undefined;
  if (error instanceof RunQueryError) return error;
  if (run.isDryRun && isRefusedWrite(error)) return new DryRunWrite(error, sql);
  // Without a code the connection broke, which is what stopping comes to where the server does not answer.
  return isQueryCanceled(error) || code === undefined ? (run.refusal ?? error) : error;
}

const ignore = (): void => undefined;
