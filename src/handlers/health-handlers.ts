import type { RequestHandler } from 'express';

/** GET /healthz: the process answers. It says nothing of the database: a restart would not mend that. */
export const healthzHandler: RequestHandler = (_req, res) => {
  res.json({ status: 'ok' });
};

/** What keeps the service from taking runs just now, or undefined when nothing does. */
export type WhyNotReady = () => Promise<string | undefined>;

/** GET /readyz: 200 when runs can be taken, else 503 with the reason. */
export const readyzHandler =
  (whyNotReady: WhyNotReady): RequestHandler =>
  async (_req, res) => {
    const reason = await whyNotReady();
    if (reason === undefined) res.json({ status: 'ready' });
    else res.status(503).set('Retry-After', '5').json({ status: 'not ready', reason });
  };
