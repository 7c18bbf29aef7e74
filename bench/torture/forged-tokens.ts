import { randomFrom } from '../harness/random.js';
import { AUDIENCE, CALLER, IAP_AUDIENCE, ISSUER, jwkOf, newEcKey, newRsaKey, signed } from './forge.js';
import { forgeries } from './forgeries.js';
import { countRuns, type Ground, JOBS, type Target } from './ground.js';
import { startKeyServer } from './key-server.js';
import { overConnections, RawConnection } from './raw-connection.js';
import { addressOf, type Route, routeTable } from './route-table.js';
import { columnsWith } from './find-canary.js';
import { countUp, Faults, none, tally, type Verdict } from './verdict.js';

export interface ForgedTokensOptions {
  readonly tokens: number;
  readonly seed: number;
}

const CONNECTIONS = 16;
/** What everybody may ask. */
const OPEN = new Set(['/healthz', '/readyz']);
const CANARY = 'f0rgedt0ken';

/** Every kind of forged token on every route in turn: none may pass, start or change a run, or have the service ask a stranger for keys. */
export async function forgedTokens(ground: Ground, { tokens, seed }: ForgedTokensOptions): Promise<Verdict> {
  const [google, iap, own, ownEc] = [newRsaKey(), newEcKey(), newRsaKey(), newEcKey()];
  const keys = await startKeyServer([jwkOf(google, 'first', 'RS256'), jwkOf(newRsaKey(), 'second', 'RS256')]);
  const iapKeys = await startKeyServer([jwkOf(iap, 'first', 'ES256')]);
  const stranger = await startKeyServer([jwkOf(own, 'first', 'RS256'), jwkOf(ownEc, 'first', 'ES256')]);
  const target = await ground.serve({
    jobs: JOBS,
    env: {
      AUTH: 'google', AUTH_AUDIENCES: AUDIENCE, AUTH_CALLERS: CALLER, AUTH_AUDITORS: CALLER, LOG_LEVEL: 'debug',
      AUTH_JWKS_URL: keys.url, AUTH_IAP_AUDIENCES: IAP_AUDIENCE, AUTH_IAP_JWKS_URL: iapKeys.url,
    },
  });
  try {
    const now = Math.floor(Date.now() / 1_000);
    const good = signed({ alg: 'RS256', kid: 'first' }, { iss: ISSUER, aud: AUDIENCE, sub: '1', email: CALLER, email_verified: true, iat: now, exp: now + 3_600 }, google);
    const runId = await failedRun(target, good);
    const before = await runsAsTheyAre(ground);

    const kinds = forgeries({ google, iap, own, ownEc, url: stranger.url, canary: CANARY });
    const routes = guarded();
    const statuses = new Map<number | string, number>();
    const faults = new Faults();
    await overConnections(target.url, tokens, CONNECTIONS, async (n, connection) => {
      const random = randomFrom(seed + n);
      // Neighbouring numbers go through the kinds, and each kind through the routes.
      const kind = kinds[n % kinds.length]!;
      const { method, path, isUnlisted } = routes[Math.floor(n / kinds.length) % routes.length]!;
      const lines = [`${method} ${addressOf({ path }, 'no-op', runId)} HTTP/1.1`, 'Host: localhost', ...kind.headers(random), ...(method === 'POST' ? ['Content-Length: 2'] : [])];
      const answer = await connection.ask(`${lines.join('\r\n')}\r\n\r\n${method === 'POST' ? '{}' : ''}`, { isHead: method === 'HEAD' });
      countUp(statuses, answer?.status ?? 'none');
      const right = kind.statuses ?? [401];
      // Whoever was made out, and may do nothing, hears that there is nothing.
      const isNothing = isUnlisted === true && right.includes(403) && answer?.status === 404;
      const isRight = answer && (right.includes(answer.status) || isNothing) && (answer.status !== 401 || answer.headers['www-authenticate'] !== undefined);
      if (!isRight) faults.add(`${kind.name}, ${method} ${path}: ${answer ? `${answer.status} ${answer.body}` : 'no answer'}`);
    });

    const touched = (await runsAsTheyAre(ground)) === before ? 0 : 1;
    const leaks = await columnsWith(ground.database, CANARY);
    if (target.output().includes(CANARY)) leaks.push('the log');
    return {
      figures: [
        { what: `${tokens.toLocaleString('en')} forged tokens of ${kinds.length} kinds on ${routes.length} routes`, measured: tally(statuses), bound: 'refused', holds: faults.count === 0 },
        none('... accepted, or answered otherwise than with the right refusal', faults.count),
        none('... that started or changed a run', touched),
        none("... requests to the forgers' key server", stranger.requests()),
        none('... logs and columns that hold a part of one', leaks.length),
      ],
      examples: [...faults.examples, ...leaks],
    };
  } finally {
    await target.stop();
    for (const server of [keys, iapKeys, stranger]) server.close();
  }
}

/** The routes of the table, and what Express answers beside them. */
function guarded(): (Route & { isUnlisted?: boolean })[] {
  const table = routeTable().filter(({ path }) => !OPEN.has(path));
  const reads = table.filter(({ method }) => method === 'GET').map(({ path }) => ({ method: 'HEAD', path }));
  const others = ['OPTIONS', 'PUT', 'DELETE', 'PATCH'].map((method) => ({ method, path: '/jobs/:slug', isUnlisted: true }));
  return [...table, ...reads, ...others, { method: 'GET', path: '/no/such/address', isUnlisted: true }];
}

/** A run that whoever may run jobs could start again. That it is there shows that the token in order passes. */
async function failedRun({ url }: Target, token: string): Promise<string> {
  const connection = new RawConnection(url);
  const answer = await connection.ask(`POST /jobs/fails HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${token}\r\nContent-Length: 2\r\n\r\n{}`);
  connection.close();
  const id = answer?.headers['job-run-id'];
  if (answer?.status !== 500 || id === undefined) throw new Error(`a token in order was answered ${answer?.status} ${answer?.body}`);
  return id;
}

async function runsAsTheyAre({ database }: Ground): Promise<string> {
  const rows = await database.query('select id, status, attempt, "finishedAt" from batch_job_run order by id');
  return JSON.stringify([await countRuns(database), rows]);
}
