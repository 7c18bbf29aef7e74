import type { RunDatabase } from './run-database.js';

/** A session that is not reset within this is closed instead. */
const MOST_RESET_MS = 5_000;
const OUTSIDE_RUNS = Symbol('outside runs');

/** The connection whose session it is. */
interface Resettable {
  readonly isSpent: boolean;
  /** Has nothing in its session any more of whoever used it. @throws {Error} when that cannot be done */
  discardAll(): Promise<void>;
  /** Closes it at once. */
  cut(): void;
}

/**
 * Whose state a session may hold: settings, locks, temporary tables, prepared statements, a role. What was
 * sent says nothing about it, since any function may leave such state. So a session is reset between any two of its users.
 */
export class SessionState {
  readonly #connection: Resettable;
  /** undefined for a session that is as new. */
  #user: RunDatabase | typeof OUTSIDE_RUNS | undefined;
  #resetting: Promise<void> | undefined;

  constructor(connection: Resettable) {
    this.#connection = connection;
  }

  get run(): RunDatabase | undefined {
    return typeof this.#user === 'object' ? this.#user : undefined;
  }

  /** @param user undefined outside runs */
  needsResetFor(user: RunDatabase | undefined): boolean {
    return this.#user !== undefined && this.#user !== (user ?? OUTSIDE_RUNS);
  }

  /** Costs a round trip, but none where the same user has it again. Never rejects: a session that cannot be reset is closed. */
  async readyFor(user: RunDatabase | undefined): Promise<void> {
    await this.#resetting;
    if (!this.#connection.isSpent && this.needsResetFor(user)) await this.reset();
    this.#user = user ?? OUTSIDE_RUNS;
  }

  /** Never rejects. */
  reset(): Promise<void> {
    return (this.#resetting ??= this.#reset().finally(() => (this.#resetting = undefined)));
  }

  async #reset(): Promise<void> {
    const timer = setTimeout(() => this.#connection.cut(), MOST_RESET_MS);
    try {
      await this.#connection.discardAll();
      this.#user = undefined;
    } catch {
      // Nobody gets it any more; whoever waits for it gets another one.
      this.#connection.cut();
    } finally {
      clearTimeout(timer);
    }
  }
}
