import pg from 'pg';

// What is used of pg's client beyond its published types. It is read with pg 8; the specs of run-knex notice a change.

/** A query as the client keeps it in its queue, and any that brings its own protocol (a cursor, a COPY stream). */
export interface DriverQuery {
  text?: string;
  name?: string;
  cursor?: { text?: string };
  /** A stream's. */
  readonly destroyed?: boolean;
  emit?: (...args: unknown[]) => boolean;
  submit(connection: DriverConnection): unknown;
  handleError(error: Error, connection: DriverConnection): void;
}

export interface DriverConnection extends Pick<pg.Connection, 'on' | 'off' | 'once' | 'stream' | 'end'> {
  connect(portOrPath: number | string, host?: string): void;
  requestSsl(): void;
  cancel(processId: number, secretKey: number): void;
  sendCopyFail(message: string): void;
  query(text: string): void;
  parse(statement: { text: string; name: string }): void;
  bind(portal: object): void;
  describe(portal: { type: 'P'; name: string }): void;
  execute(portal: object): void;
  sync(): void;
  /** The statements that the server is known to have prepared, by name. */
  parsedStatements: Record<string, string>;
}

interface DriverInternals {
  readonly connection: DriverConnection;
  readonly connectionParameters: { options?: string | undefined };
  readonly processID: number;
  readonly secretKey: number;
  readonly ssl: unknown;
  readonly sslNegotiation?: string;
  /** It has no query in flight. */
  readonly readyForQuery: boolean;
  readonly _ending: boolean;
  readonly _ended: boolean;
  readonly _queryQueue: DriverQuery[];
  /** The parsers set by setTypeParser() for this connection alone. */
  readonly _types: { text: object; binary: object };
  _getActiveQuery(): DriverQuery | null;
  query(config: unknown, values?: unknown, callback?: unknown): unknown;
}

type Driver = Omit<pg.Client, keyof DriverInternals> & DriverInternals;

export const DriverClient = pg.Client as unknown as new (config: pg.ClientConfig) => Driver;

export const openDriverConnection = (options: { ssl: unknown; sslNegotiation: string | undefined }): DriverConnection =>
  new pg.Connection(options as pg.ConnectionConfig) as unknown as DriverConnection;
