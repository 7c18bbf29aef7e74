import { bytes, clinicianDirectory, hosts, httpUrl, integer, objectStorage, oneOf, postgresUrl, type Read, redactionKey, text, yesNo } from './environment/readers.js';
import { type ByName, byName } from './environment/by-name.js';
import { readAuthConfig } from './auth/auth-config.js';
import { parseDuration } from './text/duration.js';
import { parseBodyKeys } from './personal-data/sealed-body.js';
import { parseRateLimit } from './auth/rate-limit.js';

/** A bad environment. Its message names every variable that is wrong, and says what is allowed. */
export class EnvConfigError extends Error {
  override readonly name = 'EnvConfigError';
}

type Environment = Readonly<Record<string, string | undefined>>;
const DEPLOYMENTS = ['local', 'staging', 'production'] as const;
const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const;

/**
 * Reads and checks the environment. An empty variable counts as one that is not set.
 * @throws {EnvConfigError} naming everything that is wrong, not just the first
 */
export function readEnvConfig(env: Environment) {
  const faults: string[] = [];
  const optional = <T>(name: string, read: Read<T>): T | undefined => {
    const value = env[name]?.trim();
    if (!value) return undefined;
    try {
      return read(value);
    } catch (error) {
      faults.push(`${name}: ${(error as Error).message}`);
      return undefined;
    }
  };
  // A faulty value gives the fallback for the moment; readEnvConfig throws before anyone can use it.
  const or = <T>(name: string, read: Read<T>, fallback: T): T => optional(name, read) ?? fallback;

  const config = Object.freeze({
    deployment: or('DEPLOYMENT', oneOf(DEPLOYMENTS), 'local'),
    host: or('HOST', text, '127.0.0.1'),
    port: or('PORT', integer(0, 65_535), 8080),
    databaseUrl: optional('DATABASE_URL', postgresUrl),
    databasePoolMax: or('DATABASE_POOL_MAX', integer(1, 1_000), 10),
    /** ms a job's query, or a new run, waits for a connection before it fails. */
    databaseAcquireTimeout: or('DATABASE_ACQUIRE_TIMEOUT', parseDuration, 5_000),
    migrateOnStart: or('MIGRATE_ON_START', yesNo, true),
    /** Whether an empty database gets synthetic people: by default the embedded one alone, and only for the jobs that come with it. */
    seedOnStart: or('SEED_ON_START', yesNo, !env.DATABASE_URL?.trim() && !env.JOBS_FOLDER?.trim() && (env.DEPLOYMENT?.trim() || 'local') === 'local'),
    dataFolder: or('DATA_FOLDER', text, '.data'),
    jobsFolder: optional('JOBS_FOLDER', text),
    bodyLimit: or('BODY_LIMIT', bytes, 1_048_576),
    /** ms a run may take when its job's config says nothing. */
    runTimeout: or('RUN_TIMEOUT', parseDuration, 3_600_000),
    /** ms of silence after which a run's process is taken for dead. */
    runLease: or('RUN_LEASE', parseDuration, 15_000),
    /** ms that the outcome of a run is tried to be written for. */
    outcomeDeadline: or('OUTCOME_DEADLINE', parseDuration, 30_000),
    /** ms that a job file may take to load. */
    jobLoadTimeout: or('JOB_LOAD_TIMEOUT', parseDuration, 10_000),
    /** ms that running jobs get when the service is told to stop. */
    shutdownGrace: or('SHUTDOWN_GRACE', parseDuration, 8_000),
    logLevel: or('LOG_LEVEL', oneOf(LOG_LEVELS), 'info'),
    /** The Google Cloud project, so that a log line can name its trace in full. */
    googleCloudProject: optional('GOOGLE_CLOUD_PROJECT', text),
    /** Where exports are published; a file: folder counts from the package's root. */
    objectStorage: or('OBJECT_STORAGE', objectStorage, 'file:./exports'),
    /** The project that pays for queries; that of Google Cloud otherwise. */
    bigqueryProject: optional('BIGQUERY_PROJECT', text) ?? optional('GOOGLE_CLOUD_PROJECT', text),
    /** An emulator, or a stand-in in tests, in place of Google's. */
    bigqueryEndpoint: optional('BIGQUERY_ENDPOINT', httpUrl),
    /** The agent that takes events and metrics; undefined sends none. Datadog's own names for both. */
    datadogHost: optional('DD_AGENT_HOST', text),
    datadogPort: or('DD_DOGSTATSD_PORT', integer(1, 65_535), 8125),
    /** The API that sync-clinician-mappings keeps in step with; a file: path counts from the package's root, and is only read. */
    clinicianDirectoryUrl: or('CLINICIAN_DIRECTORY_URL', clinicianDirectory, 'file:data/clinician-directory.json'),
    clinicianDirectoryToken: optional('CLINICIAN_DIRECTORY_TOKEN', text),
    /** Files that jobs may take for a source lie here, or in the package's data folder; counts from the package's root. */
    sourceFolder: optional('SOURCE_FOLDER', text),
    /** The hosts whose addresses jobs may take for a source; undefined: any but those that hold a machine's credentials. */
    sourceHosts: optional('SOURCE_HOSTS', hosts),
    /** Runs that this process has at once; beyond it, callers get 503. */
    maxActiveRuns: or('MAX_ACTIVE_RUNS', integer(1, 100_000), 1_000),
    /** ms by which timers may be late, on average over a second, before callers get 503. */
    maxEventLoopDelay: or('MAX_EVENT_LOOP_DELAY', parseDuration, 1_000),
    rateLimit: optional('RATE_LIMIT', parseRateLimit),
    /** Proxies in front, each of which has added the address of whoever called it to X-Forwarded-For. */
    trustedProxies: or('TRUSTED_PROXIES', integer(0, 10), 0),
    /** The key of the hashes that stand in place of personal data. Without it personal data leave no trace. */
    redactionKey: optional('REDACTION_KEY', redactionKey),
    /** What encrypts bodies with personal data while their runs may be started again; without it they are not kept. */
    bodyKeys: optional('BODY_KEYS', parseBodyKeys),
    /** ms after a run's end for which such a body is kept. */
    bodyRetention: or('BODY_RETENTION', parseDuration, 604_800_000),
    /** Who may call. */
    auth: readAuthConfig(optional, (fault) => void faults.push(fault)),
    /** What runs: Cloud Run's revision, or whatever the deployment calls it. */
    version: optional('VERSION', text) ?? optional('K_REVISION', text),
  });
  if (faults.length > 0) throw new EnvConfigError(`The environment is not usable:\n  ${faults.join('\n  ')}`);
  return config;
}

export type EnvConfig = ReturnType<typeof readEnvConfig>;

/** What several variables make, or one that is called otherwise: those are read by calling envConfig(). */
const IRREGULAR = ['auth', 'datadogHost', 'datadogPort'] as const;

let current: EnvConfig | undefined;

const read = (): EnvConfig => (current ??= readEnvConfig(process.env));

/**
 * The process's own environment, read and checked once, at the first use. The service calls it: `envConfig().runLease`. Job files may
 * also ask by the variable's own name, `envConfig.DEPLOYMENT`, which gives the checked value (a time in ms), and for a variable of
 * their own `envConfig.get('MY_URL')`. It is frozen, and a name that it does not know throws.
 * @throws {EnvConfigError}
 */
export const envConfig: ByName<EnvConfig, (typeof IRREGULAR)[number]> = byName(read, IRREGULAR);

export default envConfig;
