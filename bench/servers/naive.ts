import os from 'node:os';
import type { AddressInfo } from 'node:net';
import express from 'express';
import createKnex, { type Knex } from 'knex';
import { uuidv7 } from 'uuidv7';

/**
 * What one writes first: a row is inserted when the run starts and updated when it ends, each by a statement of its own.
 * It keeps what ours keeps of a run, in a table of the same shape on the same server. CONNECTION: pg's settings as JSON;
 * POOL: its connections.
 */
const { CONNECTION = '{}', POOL = '20' } = process.env;
const knex = createKnex({
  client: 'pg',
  connection: JSON.parse(CONNECTION) as Knex.PgConnectionConfig,
  pool: { min: 0, max: Number(POOL) },
});
const host = os.hostname();
const noOp = async (_body: unknown) => ({ ok: true });

const app = express();
app.disable('x-powered-by');
app.use(express.json());
app.post('/jobs/:slug', async (req, res) => {
  const id = uuidv7();
  await knex('naive_run').insert({
    id,
    jobName: req.params.slug,
    status: 'running',
    trigger: 'http',
    body: JSON.stringify(req.body),
    startedAt: knex.fn.now(),
    leaseUntil: knex.raw(`now() + interval '15 s'`),
    host,
  });
  const result = await noOp(req.body);
  await knex('naive_run').where({ id }).update({
    status: 'succeeded',
    httpStatus: 200,
    result: JSON.stringify(result),
    finishedAt: knex.fn.now(),
    leaseUntil: null,
  });
  res.json(result);
});

const server = app.listen(0, '127.0.0.1', () => {
  console.log(`Listening on http://127.0.0.1:${(server.address() as AddressInfo).port}`);
});
