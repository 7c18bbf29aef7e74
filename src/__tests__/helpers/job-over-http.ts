import path from 'node:path';
import request from 'supertest';
import { BatchJobRun } from '@commons/backend/models/batch-job-run.js';
import { testApp, testRegistry } from './test-app.js';

const JOBS = path.resolve(__dirname, '../../jobs');

/** The app over src/jobs, and what runs the job by `POST /jobs/<slug>`: the answer, the run as it is on record, and what it wrote. */
export function jobOverHttp(slug: string) {
  const app = testApp(testRegistry(JOBS));
  const post = async (body: object = {}, address = `/jobs/${slug}`) => {
    const answer = await request(app).post(address).send(body);
    const run = (await BatchJobRun.find(answer.headers['job-run-id']!))!;
    return { answer, run, writes: run.writes ?? {} };
  };
  return { app, post };
}
