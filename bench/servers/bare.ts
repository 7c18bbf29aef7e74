import express from 'express';
import type { AddressInfo } from 'node:net';

/** The floor: Express with its JSON parser and the no-op job's answer. Nothing is recorded, and there is no database. */
const app = express();
app.disable('x-powered-by');
app.use(express.json());
app.post('/jobs/:slug', async (_req, res) => {
  res.json({ ok: true });
});

const server = app.listen(0, '127.0.0.1', () => {
  console.log(`Listening on http://127.0.0.1:${(server.address() as AddressInfo).port}`);
});
