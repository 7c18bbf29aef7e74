import { EventEmitter } from 'node:events';
import type { Knex } from 'knex';

interface CopyConnection {
  query(text: string): void;
  sendCopyFromChunk(chunk: Buffer): void;
  endCopyFrom(): void;
}

/** COPY ... FROM STDIN as pg-copy-streams sends it: a query that speaks the protocol itself. */
class CopyIn extends EventEmitter {
  constructor(
    public text: string,
    readonly rows: string,
  ) {
    super();
  }

  submit(connection: CopyConnection): void {
    connection.query(this.text);
  }

  handleCopyInResponse(connection: CopyConnection): void {
    connection.sendCopyFromChunk(Buffer.from(this.rows));
    connection.endCopyFrom();
  }

  handleCommandComplete(): void {}

  handleError(error: Error): void {
    this.emit('error', error);
  }

  handleReadyForQuery(): void {
    this.emit('finish');
  }
}

/** Sends `rows` (Postgres's text format) through a connection of the pool. */
export async function copyIn(knex: Knex, sql: string, rows: string): Promise<void> {
  const connection = await knex.client.acquireConnection();
  try {
    await new Promise((resolve, reject) => connection.query(new CopyIn(sql, rows)).on('finish', resolve).on('error', reject));
  } finally {
    await knex.client.releaseConnection(connection);
  }
}
