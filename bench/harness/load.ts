import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';
import { inProject } from './paths.js';

export interface Load {
  readonly url: string;
  readonly connections: number;
  /** For so many seconds, or for so many requests. */
  readonly until: { readonly seconds: number } | { readonly requests: number };
}

export interface LoadResult {
  /** Answers of 2xx. */
  readonly answers: number;
  readonly perSecond: number;
  /** ms */
  readonly p50: number;
  readonly p99: number;
}

interface AutocannonResult {
  readonly '2xx': number;
  readonly non2xx: number;
  readonly errors: number;
  readonly duration: number;
  readonly latency: { readonly p50: number; readonly p99: number };
}

/** A small body of the kind that jobs get. */
const BODY = JSON.stringify({ batchSize: 1_000, isDryRun: false, note: 'hello world' });

/** POSTs as fast as the connections go, from autocannon in a process of its own. @throws {Error} on any answer that is not 2xx */
export async function load({ url, connections, until }: Load): Promise<LoadResult> {
  const end = 'seconds' in until ? ['-d', String(until.seconds)] : ['-a', String(until.requests)];
  const args = ['-c', String(connections), ...end, '-m', 'POST', '-H', 'Content-Type=application/json', '-b', BODY, '--json', '--no-progress', url];
  const child = spawn(process.execPath, [inProject('node_modules/autocannon/autocannon.js'), ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  const [out, complaints] = await Promise.all([text(child.stdout), text(child.stderr)]);
  const line = out.split('\n').find((part) => part.startsWith('{'));
  if (line === undefined) throw new Error(`autocannon gave no result: ${complaints}`);
  const result = JSON.parse(line) as AutocannonResult;
  if (result.non2xx > 0 || result.errors > 0) {
    throw new Error(`${url} gave ${result.non2xx} answers that are not 2xx and ${result.errors} errors`);
  }
  const { latency, duration } = result;
  return { answers: result['2xx'], perSecond: result['2xx'] / duration, p50: latency.p50, p99: latency.p99 };
}
