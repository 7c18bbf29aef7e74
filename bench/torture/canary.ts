import { canaryIn, columnsWith } from './find-canary.js';
import { type Ground, JOBS, type Target } from './ground.js';
import { overConnections } from './raw-connection.js';
import { countUp, Faults, none, tally, type Verdict } from './verdict.js';

export interface CanaryOptions {
  readonly requests: number;
  readonly seed: number;
}

const CONNECTIONS = 8;
const MODES = ['logs', 'throws', 'fails', 'progress', 'returns'];
/** Runs whose own addresses are looked at. */
const MOST_RUNS = 500;

/**
 * Sends a secret in every field that is marked or named as one, and in headers, to a job that logs, throws, reports and returns
 * whatever it gets; then looks for it in all that was left behind.
 */
export async function canary(ground: Ground, { requests, seed }: CanaryOptions): Promise<Verdict> {
  const secret = `canary-${seed}-zq7x`;
  const target = await ground.serve({ jobs: JOBS, env: { LOG_LEVEL: 'debug' } });
  const statuses = new Map<number | string, number>();
  const faults = new Faults();
  try {
    await overConnections(target.url, requests, CONNECTIONS, async (n, connection) => {
      const body = JSON.stringify({ mode: MODES[n % MODES.length], phone: `${secret}-${n}`, patient: { name: `${secret} ${n}`, pin: secret }, password: secret });
      const headers = [`Authorization: Bearer ${secret}`, `Cookie: session=${secret}`, `X-Api-Key: ${secret}`, 'Content-Type: application/json', `Content-Length: ${body.length}`];
      const answer = await connection.ask([`POST /jobs/careless?token=${secret} HTTP/1.1`, 'Host: localhost', ...headers, '', body].join('\r\n'));
      countUp(statuses, answer?.status ?? 'closed');
    });
    for (const line of target.output().split('\n')) if (canaryIn(line, secret)) faults.add(`a line of the log: ${line}`);
    const inLog = faults.count;
    for (const address of await addresses(target)) {
      const text = await (await fetch(target.url + address)).text();
      if (canaryIn(text, secret)) faults.add(`${address}: ${text}`);
    }
    const inAnswers = faults.count - inLog;
    const columns = await columnsWith(ground.database, secret);
    for (const column of columns) faults.add(column);
    return {
      figures: [
        { what: `${requests.toLocaleString('en')} requests with a secret in every field and header`, measured: tally(statuses), bound: '200, 204, 500', holds: [...statuses.keys()].every((status) => [200, 204, 500].includes(Number(status))) },
        none('... lines of the log with the secret', inLog),
        none('... answers of the history with the secret', inAnswers),
        none('... columns of any table with the secret', columns.length),
      ],
      examples: faults.examples,
    };
  } finally {
    await target.stop();
  }
}

/** What can be read of the history. */
async function addresses({ url }: Target): Promise<string[]> {
  const { runs } = (await (await fetch(`${url}/runs?job=careless&limit=${MOST_RUNS}`)).json()) as { runs: { id: string }[] };
  if (runs.length === 0) throw new Error('no run is on record, so there is nothing to look into');
  return ['/jobs', '/jobs/careless', '/audit?limit=500', `/runs?limit=${MOST_RUNS}`, ...runs.flatMap(({ id }) => [`/runs/${id}`, `/runs/${id}/logs`, `/runs/${id}/failures`])];
}
