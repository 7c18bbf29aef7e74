import knex from '@commons/backend/lib/knex.js';

/** Runs the statements of its body on one connection, and leaves it as they left it. */
export default async ({ body }) => {
  const connection = await knex.client.acquireConnection();
  const refused = [];
  try {
    for (const sql of body.statements) await connection.query(sql).catch((error) => refused.push(error.message));
  } finally {
    await knex.client.releaseConnection(connection);
  }
  return { refused };
};
