import StatsD, { type StatsD as Client } from 'hot-shots';
import { orUndefined } from './errors/or-undefined.js';
import { envConfig } from './env-config.js';
import logger from './logging.js';
import { tryCurrentRun } from './run-scope.js';

const TAG = 'datadog';

/** Such as { market: 'boston' }. They leave the house: names of things and counts, no personal data. */
export type Tags = Readonly<Record<string, string | number>>;

export interface TrackedEvent {
  /** Cut at 100 characters. */
  title: string;
  /** Cut at 4,000 characters. */
  text: string;
  tags?: Tags;
  /** Default: info. */
  alertType?: 'info' | 'success' | 'warning' | 'error';
}

/** https://docs.datadoghq.com/api/latest/events/#post-an-event */
const MOST_TITLE = 100;
const MOST_TEXT = 4_000;

const eventOf = (title: string, tags?: Tags): TrackedEvent => ({ title, text: title, ...(tags && { tags }) });

const EVENT_CALL = "trackEvent({ title: 'Export done', text: 'rosters/today.csv', tags: { rows: 5 } })";

/**
 * Sends an event to the Datadog agent at DD_AGENT_HOST, over DogStatsD (https://docs.datadoghq.com/developers/dogstatsd/);
 * does nothing where that is not set. A dry run logs it in place of sending it. It never throws and nothing waits for it: UDP
 * does not say whether anyone listens. What is no event is logged as an error that shows the call.
 * @param event or the event's title alone, and its tags behind it
 */
export function trackEvent(event: TrackedEvent): void;
export function trackEvent(title: string, tags?: Tags): void;
export function trackEvent(event: TrackedEvent | string, behind?: Tags, ...more: unknown[]): void {
  const { title, text, tags = {}, alertType = 'info' } = typeof event === 'string' ? eventOf(event, behind) : (event ?? {});
  if (typeof title !== 'string' || typeof text !== 'string' || more.length > 0 || (behind !== undefined && (typeof behind !== 'object' || behind === null))) return logger.error(new TypeError(`trackEvent takes an event with a title and a text: ${EVENT_CALL}`), { tag: TAG });
  send(`event ${title}`, tags, (client) => client.event(title.slice(0, MOST_TITLE), text.slice(0, MOST_TEXT), { alert_type: alertType }, texts(tags)));
}

/** Adds `by` to a counter, such as 'export.rows'. Like trackEvent it never throws, and a dry run only logs it. */
export function increment(metric: string, by = 1, tags: Tags = {}): void {
  send(`${metric} +${by}`, tags, (client) => client.increment(metric, by, texts(tags)));
}

/** Records how long something took, in ms. Like trackEvent it never throws, and a dry run only logs it. */
export function timing(metric: string, ms: number, tags: Tags = {}): void {
  send(`${metric} ${ms} ms`, tags, (client) => client.timing(metric, ms, texts(tags)));
}

/** Sends what is still to be sent, and closes the socket. Whatever comes later opens another. Never rejects. */
export async function closeDatadog(): Promise<void> {
  const client = open;
  open = undefined;
  if (client) await new Promise<void>((resolve) => orUndefined(() => client.close(() => resolve())) ?? resolve());
}

let open: Client | undefined;

function send(what: string, tags: Tags, put: (client: Client) => void): void {
  orUndefined(() => {
    if (tryCurrentRun()?.isDryRun) return logger.log(`Dry run: would send ${what}`, TAG, tags);
    const { datadogHost: host, datadogPort: port } = envConfig();
    if (host !== undefined) put((open ??= connect(host, port)));
  });
}

function connect(host: string, port: number): Client {
  let hasFailed = false;
  return new StatsD({
    host,
    port,
    errorHandler: (error) => {
      if (!hasFailed) logger.warn('Datadog cannot be reached; later failures are not logged', TAG, { error });
      hasFailed = true;
    },
  });
}

const texts = (tags: Tags): Record<string, string> => Object.fromEntries(Object.entries(tags).map(([name, value]) => [name, String(value)]));
