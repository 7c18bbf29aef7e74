import express, { type Express, Router } from 'express';
import request from 'supertest';
import { routesOf } from '../../../bench/torture/routes-of.js';
import { routeTable } from '../../../bench/torture/route-table.js';

const answer: express.RequestHandler = (_req, res) => void res.json({});
const refuse: express.RequestHandler = (_req, res) => void res.status(401).json({});

/** Has one route before the check, two routers deep, and others behind it. */
function build(): Express {
  const app = express();
  const inner = Router();
  inner.get('/secret', answer);
  const outer = Router();
  outer.use('/inner/', inner);
  app.use('/admin', outer);
  app.use(refuse);
  app.get('/runs', answer);
  const more = Router();
  more.all('/', answer);
  more.get(['/a', '/b/:id'], answer);
  app.use('/more', more);
  app.use(Router().post('/plain', answer));
  return app;
}

describe('the routes of an app', () => {
  it('are those of its sub-routers too, each with its whole path', () => {
    expect(routesOf(build).map(({ method, path }) => `${method} ${path}`)).toEqual([
      'GET /admin/inner/secret', 'GET /runs',
      ...['GET', 'POST', 'PUT', 'PATCH', 'DELETE'].map((method) => `${method} /more`),
      'GET /more/a', 'GET /more/b/:id', 'POST /plain',
    ]);
  });

  it('show one in a sub-router that no check stands before', async () => {
    const app = build();
    const open: string[] = [];
    for (const { method, path } of routesOf(build)) {
      const { status } = await request(app)[method.toLowerCase() as 'get'](path.replace(':id', '1'));
      if (status !== 401) open.push(path);
    }
    expect(open).toEqual(['/admin/inner/secret']);
  });

  it('cannot be told where an app is inside the app, or a path is a pattern: that is an error', () => {
    expect(() => routesOf(() => express().use('/sub', express().get('/hidden', answer)))).toThrow('Use a Router');
    expect(() => routesOf(() => express().get(/^\/any/, answer))).toThrow('is no text');
    expect(() => routesOf(() => express().use(/^\/any/, Router().get('/hidden', answer)))).toThrow('is no text');
  });

  it('are the service\'s own for the torture', () => {
    expect(routeTable()).toContainEqual({ method: 'POST', path: '/jobs/:slug' });
    expect(routeTable().length).toBeGreaterThan(10);
  });
});
