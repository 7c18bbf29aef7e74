import http from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { createApp } from './app.js';
import { expressClasses } from './handlers/middleware/express-classes.js';
import { isLoopback } from './lib/auth/auth-config.js';
import { createAuthenticator } from './lib/auth/authenticator.js';
import { exposure } from './lib/auth/exposure.js';
import { closeDatabase, connectionSettings } from './lib/database/database.js';
import { closeDatadog } from './lib/datadog.js';
import { EnvConfigError, envConfig } from './lib/env-config.js';
import { watchEventLoopDelay } from './lib/process/event-loop-delay.js';
import { listen } from './lib/process/listen.js';
import { createJobRegistry, type JobRegistry } from './lib/job-files/registry.js';
import { isJobsPoolClosed } from './lib/knex.js';
import logger from './lib/logging.js';
import { migrate } from './lib/database/migrate.js';
import { listMigrationFiles, migrationName } from './lib/database/migration-turn.js';
import { reapLostRuns } from './runs/reaper.js';
import { flushRunLogs } from './runs/log-buffer.js';
import { shareCall } from './lib/process/share-call.js';
import { jobFolderOf, migrationsFolderOf, migrationsOf, type SourceTree } from './lib/job-files/source-tree.js';
import { startWatchdog } from './lib/process/watchdog.js';
import { runBoard, stopActiveRuns } from './runs/active-runs.js';
import { SchemaFault, schemaFault } from './lib/database/schema-check.js';
import { seedOnStart } from './models/seed/seed-on-start.js';

const TAG = 'service';

export interface Service {
  readonly url: string;
  /** Resolves with true once the database is reached and migrated, with false when the service stopped before. */
  readonly ready: Promise<boolean>;
  /** Takes no new runs, lets the active ones end within SHUTDOWN_GRACE, and closes everything. */
  stop(): Promise<void>;
}

/**
 * Starts the service: it listens at once, and reaches for the database until it is there, so that a database that is down
 * makes it unready and not dead.
 * @param isLive read job files anew when they change
 */
export async function startService(source: SourceTree, { isLive }: { isLive: boolean }): Promise<Service> {
  refuseExposure();
  const stopping = new AbortController();
  const registry = openRegistry(source, isLive);
  const checkSchema = await schemaCheck(source);
  const database = reachDatabase(source, checkSchema, stopping.signal);
  const checkReadiness = shareCall(checkSchema, READINESS_KEPT);
  const { bodyLimit, auth, host, rateLimit, trustedProxies } = envConfig();
  const eventLoop = watchEventLoopDelay();
  const app = createApp({
    registry,
    bodyLimit,
    whyNotReady: () => whyNotReady(stopping.signal, database, checkReadiness),
    authenticate: createAuthenticator(auth),
    isLocal: isLoopback(host),
    whyFull: () => whyFull(eventLoop.meanMs()),
    rateLimit,
    trustedProxies,
  });
  const server = http.createServer({ ...LIMITS, ...expressClasses(app) }, app);
  const url = await listen(server);
  const stopWatching = startWatchdog(watching());
  const reaper = database.ready.then(() => reapLostRuns(stopping.signal));

  return {
    url,
    ready: database.ready.then(() => database.isReached),
    async stop() {
      stopping.abort();
      const graceOver = performance.now() + envConfig().shutdownGrace;
      await stopActiveRuns(envConfig().shutdownGrace);
      await flushLogs(Math.max(graceOver - performance.now(), LEAST_LOG_MS));
      await closeServer(server);
      await stopWatching();
      eventLoop.stop();
      await Promise.all([database.ready, reaper]);
      await closeDatabase();
      await closeDatadog();
    },
  };
}

/** ms that the last log lines get to be written, although the grace is over. */
const LEAST_LOG_MS = 1_000;

async function flushLogs(ms: number): Promise<void> {
  const left = await flushRunLogs(ms);
  if (left > 0) logger.error(new Error(`${left} lines of runs' logs are lost: they could not be written before the service stopped`), { tag: TAG });
}

/** @throws {EnvConfigError} when anybody could run jobs, and nobody said that this is meant */
function refuseExposure(): void {
  const { auth, host } = envConfig();
  const fault = exposure(auth, host);
  if (fault === undefined) return;
  if (!auth.isOpenAllowed) throw new EnvConfigError(fault);
  logger.warn(`ALLOW_UNAUTHENTICATED=yes: whoever reaches ${host} can run every job and read every run`, TAG);
}

function whyFull(eventLoopDelayMs: number): string | undefined {
  const { maxEventLoopDelay } = envConfig();
  if (eventLoopDelayMs > maxEventLoopDelay) return 'This process is kept busy by what it runs, and takes no more for a moment (MAX_EVENT_LOOP_DELAY). Send it again.';
  return undefined;
}

/** The lease of a run that blocks the event loop twice as long has passed long since, and another may have been started. */
const watching = () => ({
  limitMs: envConfig().runLease * 2,
  board: runBoard,
  isStructured: envConfig().deployment !== 'local',
});

/** ms. A request that dawdles over its headers or its body gets 408. */
const LIMITS: http.ServerOptions = { headersTimeout: 10_000, requestTimeout: 13_000, connectionsCheckingInterval: 1_000, keepAliveTimeout: 65_000 };

function openRegistry(source: SourceTree, isLive: boolean): JobRegistry {
  const registry = createJobRegistry({ ...jobFolderOf(source), isLive });
  for (const { reason } of registry.faults()) logger.error(new Error(reason), { tag: TAG });
  return registry;
}

/** What is wrong with the database's tables, or undefined. */
type SchemaCheck = () => Promise<string | undefined>;

/** ms. However many ask whether the service is ready, the database is asked once in this time. */
const READINESS_KEPT = 1_000;

/** For the migrations that this release has as it starts. */
async function schemaCheck(source: SourceTree): Promise<SchemaCheck> {
  const expected = (await listMigrationFiles(migrationsFolderOf(source))).map(migrationName);
  return () => schemaFault(expected);
}

interface Reaching {
  isReached: boolean;
  /** What the last try found wrong with the tables of a database that it did reach. */
  fault?: string | undefined;
  /** Never rejects: it is tried until it works or the service stops. */
  readonly ready: Promise<void>;
}

function reachDatabase(source: SourceTree, checkSchema: SchemaCheck, signal: AbortSignal): Reaching {
  const state: { isReached: boolean; fault?: string | undefined; ready: Promise<void> } = { isReached: false, ready: Promise.resolve() };
  state.ready = (async () => {
    for (let pause = 250; !signal.aborted; pause = Math.min(pause * 2, 5_000)) {
      try {
        await prepareDatabase(source, signal, checkSchema);
        state.isReached = true;
        return;
      } catch (error) {
        if (signal.aborted) return;
        state.fault = error instanceof SchemaFault ? error.message : undefined;
        logger.error(error, { tag: TAG, during: 'reaching and migrating the database', nextTryInMs: pause });
        await delay(pause, undefined, { signal }).catch(() => undefined);
      }
    }
  })();
  return state;
}

async function prepareDatabase(source: SourceTree, signal: AbortSignal, checkSchema: SchemaCheck): Promise<void> {
  const connection = await connectionSettings();
  if (envConfig().migrateOnStart) {
    const names = await migrate({ ...migrationsOf(source, connection), signal });
    if (names.length > 0) logger.log(`Migrated the database: ${names.join(', ')}`, TAG);
  } else {
    const fault = await checkSchema();
    if (fault !== undefined) throw new SchemaFault(`${fault} (MIGRATE_ON_START is no)`);
  }
  await seedOnStart(connection, signal);
}

async function whyNotReady(stopping: AbortSignal, database: Reaching, checkSchema: SchemaCheck): Promise<string | undefined> {
  if (stopping.aborted) return 'the service is stopping';
  if (!database.isReached) return database.fault ?? 'the database is not reached or not migrated yet';
  if (isJobsPoolClosed()) return "the jobs' database pool was closed: restart the service";
  try {
    return await checkSchema();
  } catch {
    return 'the database does not answer';
  }
}

/** Answers that are on their way get a second to leave; whoever merely keeps a connection open is cut off. */
async function closeServer(server: http.Server): Promise<void> {
  const closed = new Promise((resolve) => void server.close(resolve));
  const timer = setTimeout(() => server.closeAllConnections(), 1_000);
  await closed;
  clearTimeout(timer);
}
