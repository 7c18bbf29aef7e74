import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import request from 'supertest';
import { testApp } from '../../helpers/test-app.js';

const app = testApp();

const post = (body: string | Buffer, headers: Record<string, string>) => {
  const call = request(app).post('/jobs/echo').set(headers);
  // As bytes, so that supertest adds nothing of its own.
  return call.serialize((bytes) => bytes as string).send(body as string);
};

describe('the body of a run', () => {
  it('is {} when there is none', async () => {
    expect((await request(app).post('/jobs/echo')).body).toEqual({ echo: {} });
    expect((await post('', { 'Content-Type': 'application/octet-stream' })).body).toEqual({ echo: {} });
    expect((await post('', { 'Content-Type': 'text/plain' })).body).toEqual({ echo: {} });
  });

  it.each(['application/json', 'application/json; charset=utf-8', 'Application/JSON;charset="UTF-8"', 'application/octet-stream', 'application/vnd.api+json'])(
    'is JSON when it is sent as %s',
    async (type) => {
      expect((await post('{"a":"ü"}', { 'Content-Type': type })).body).toEqual({ echo: { a: 'ü' } });
    },
  );

  it.each(['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x', 'application/json; charset=latin1', 'application/xml'])(
    'is refused with 415 when it is sent as %s',
    async (type) => {
      const answer = await post('{"a":1}', { 'Content-Type': type });
      expect(answer.status).toBe(415);
      expect(answer.headers['content-type']).toMatch(/^application\/problem\+json/);
    },
  );

  it('is refused with what to write on the command line when curl has sent it by -d alone', async () => {
    const { body } = await post('{}', { 'Content-Type': 'application/x-www-form-urlencoded' });
    expect((body as { detail: string }).detail).toContain("-H 'Content-Type: application/json'");
  });

  it('is refused with 400 when it is malformed, and is never repeated', async () => {
    const answer = await post('{"ssn": "078-05-1120"', { 'Content-Type': 'application/json' });
    expect(answer.status).toBe(400);
    expect(answer.text).not.toContain('078');
    expect(answer.headers['job-run-id']).toBeUndefined();
  });

  it.each([[0xff], [0xc3], [0xed, 0xa0, 0x80], [0xc0, 0xaf]])('is refused with 400 when it is not valid UTF-8 (%p)', async (...bytes) => {
    const answer = await post(Buffer.concat([Buffer.from('{"a":"'), Buffer.from(bytes), Buffer.from('"}')]), { 'Content-Type': 'application/json' });
    expect(answer.status).toBe(400);
    expect(answer.body.detail).toBe('The body is not valid UTF-8.');
    expect(answer.headers['job-run-id']).toBeUndefined();
  });

  it('is unpacked', async () => {
    const answer = await post(gzipSync('{"a":1}'), { 'Content-Type': 'application/json', 'Content-Encoding': 'gzip' });
    expect(answer.body).toEqual({ echo: { a: 1 } });
  });

  it('is refused with 400 when it does not unpack, and with 415 when nobody knows how', async () => {
    const json = { 'Content-Type': 'application/json' };
    expect((await post(Buffer.from('no gzip'), { ...json, 'Content-Encoding': 'gzip' })).status).toBe(400);
    expect((await post('{}', { ...json, 'Content-Encoding': 'compress' })).status).toBe(415);
  });

  it('is refused with 413 over the limit, also for what it unpacks to', async () => {
    const big = JSON.stringify('x'.repeat(1_048_576));
    const json = { 'Content-Type': 'application/json' };
    expect((await post(big, json)).status).toBe(413);
    const bomb = gzipSync(Buffer.alloc(50_000_000, ' '));
    expect(bomb.length).toBeLessThan(100_000);
    expect((await post(bomb, { ...json, 'Content-Encoding': 'gzip' })).status).toBe(413);
  });

  it('is echoed whole, whatever JSON it is', async () => {
    await fc.assert(
      fc.asyncProperty(fc.jsonValue({ maxDepth: 4 }), async (value) => {
        const text = JSON.stringify(value);
        if (text.includes('__proto__')) return;
        const answer = await post(text, { 'Content-Type': 'application/json' });
        expect(answer.status).toBe(200);
        expect(answer.body).toEqual({ echo: JSON.parse(text) });
      }),
      { numRuns: 60 },
    );
  });
});

describe('the slug of a run', () => {
  it.each(['..%2Fserver', '%2e%2e%2fserver', 'echo%00', 'echo%3Fx', 'echo%23', 'Echo', 'echo.ts', 'echo.js', '%C3%A9cho', '__proto__', 'constructor', 'helpers', 'echo%20', 'x'.repeat(101)])(
    'is looked up and not found: %s',
    async (slug) => {
      const answer = await request(app).post(`/jobs/${slug}`).send({});
      expect(answer.status).toBe(404);
      expect(answer.headers['content-type']).toMatch(/^application\/problem\+json/);
      expect(answer.headers['job-run-id']).toBeUndefined();
    },
  );

  it('is refused with 400 when its percent signs make no sense', async () => {
    const answer = await request(app).post('/jobs/%E0%A4%A').send({});
    expect(answer.status).toBe(400);
    expect(answer.headers['content-type']).toMatch(/^application\/problem\+json/);
  });

  it('never answers 5xx and never runs anything, whatever it is', async () => {
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: 'binary', maxLength: 120 }), async (slug) => {
        fc.pre(!/^[a-z0-9-]+$/.test(slug) && !/\p{Surrogate}/u.test(slug) && !['.', '..', ''].includes(slug));
        const answer = await request(app).post(`/jobs/${encodeURIComponent(slug)}`).send({});
        expect([400, 404]).toContain(answer.status);
        expect(answer.headers['job-run-id']).toBeUndefined();
      }),
      { numRuns: 100 },
    );
  });
});
