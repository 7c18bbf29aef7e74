import { execFile } from 'node:child_process';
import { createSocket, type Socket } from 'node:dgram';
import { promisify } from 'node:util';
import { closeDatadog, increment, timing, trackEvent } from '@commons/backend/lib/datadog.js';
import * as envConfig from '@commons/backend/lib/env-config.js';
import logger from '@commons/backend/lib/logging.js';
import { buildRoot, builtScript } from '../helpers/built-program.js';
import { inDryRun } from '../helpers/test-scope.js';
import { waitUntil } from '../helpers/wait-until.js';

jest.mock('@commons/backend/lib/logging.js');

let agent: Socket;
let messages: string[];

const configure = (datadogHost: string | undefined, datadogPort = agent.address().port) =>
  jest.spyOn(envConfig, 'envConfig').mockReturnValue({ ...envConfig.readEnvConfig({}), datadogHost, datadogPort });

beforeEach(async () => {
  messages = [];
  jest.mocked(logger.log).mockClear();
  agent = createSocket('udp4').on('message', (message) => messages.push(message.toString()));
  await new Promise<void>((resolve) => agent.bind(0, '127.0.0.1', resolve));
  configure('127.0.0.1');
});

afterEach(async () => {
  await closeDatadog();
  await new Promise<void>((resolve) => agent.close(resolve));
  jest.restoreAllMocks();
});

const received = async (count: number): Promise<string[]> => {
  await waitUntil(`${count} messages came`, () => messages.length >= count);
  return messages;
};

it('sends an event with its tags', async () => {
  trackEvent({ title: 'Roster exported', text: 'two\nlines', tags: { market: 'boston', rows: 5 }, alertType: 'success' });
  // https://docs.datadoghq.com/developers/dogstatsd/datagram_shell/?tab=events
  expect((await received(1))[0]).toBe('_e{15,10}:Roster exported|two\\nlines|t:success|#market:boston,rows:5');
});

it('takes a title alone, and tags behind it', async () => {
  trackEvent('Roster exported', { rows: 5 });
  expect((await received(1))[0]).toBe('_e{15,15}:Roster exported|Roster exported|t:info|#rows:5');
});

it('logs the right call for what is no event, and goes on', () => {
  (trackEvent as (...args: unknown[]) => void)({ name: 'Roster exported' });
  (trackEvent as (...args: unknown[]) => void)(undefined);
  (trackEvent as (...args: unknown[]) => void)('Export', 'done', { rows: 5 });
  const error = expect.objectContaining({ message: expect.stringContaining("trackEvent({ title: 'Export done', text: 'rosters/today.csv', tags: { rows: 5 } })") });
  expect(jest.mocked(logger.error).mock.calls.slice(-3)).toEqual(Array(3).fill([error, { tag: 'datadog' }]));
});

it('sends counters and times', async () => {
  increment('export.rows', 1_000, { market: 'boston' });
  increment('export.done');
  timing('export.duration', 1_250);
  expect((await received(3)).toSorted()).toEqual(['export.done:1|c', 'export.duration:1250|ms', 'export.rows:1000|c|#market:boston']);
});

it('cuts what an agent would drop', async () => {
  trackEvent({ title: 't'.repeat(1_000), text: 'x'.repeat(100_000) });
  expect((await received(1))[0]).toMatch(/^_e\{100,4000\}:t{100}\|x{4000}\|/);
});

it('sends nothing where no agent is configured', async () => {
  configure(undefined);
  trackEvent({ title: 'not sent', text: '' });
  increment('not.sent');
  configure('127.0.0.1');
  increment('sent');
  expect(await received(1)).toEqual(['sent:1|c']);
});

it('logs in a dry run, in place of sending', async () => {
  await inDryRun(() => {
    trackEvent({ title: 'Roster exported', text: 'x', tags: { market: 'boston' } });
    increment('export.rows', 2);
    timing('export.duration', 3);
  });
  increment('sent');
  expect(await received(1)).toEqual(['sent:1|c']);
  expect(jest.mocked(logger.log).mock.calls).toEqual([
    ['Dry run: would send event Roster exported', 'datadog', { market: 'boston' }],
    ['Dry run: would send export.rows +2', 'datadog', {}],
    ['Dry run: would send export.duration 3 ms', 'datadog', {}],
  ]);
});

it('never throws, whatever it is given and whether anyone listens', async () => {
  configure('no-such-host.invalid');
  trackEvent({ title: 'x', text: 'y' });
  await closeDatadog();
  configure('127.0.0.1');
  const hostile = new Proxy({}, { ownKeys: () => { throw new Error('hostile'); } });
  expect(() => trackEvent({ title: 'x', text: 'y', tags: hostile })).not.toThrow();
  expect(() => trackEvent({ title: undefined, text: undefined } as never)).not.toThrow();
  expect(() => increment('x', 1, hostile)).not.toThrow();
  jest.spyOn(envConfig, 'envConfig').mockImplementation(() => { throw new Error('bad environment'); });
  expect(() => timing('x', 1)).not.toThrow();
});

it('opens another socket after it was closed', async () => {
  increment('first');
  await closeDatadog();
  await closeDatadog();
  increment('second');
  expect((await received(2)).toSorted()).toEqual(['first:1|c', 'second:1|c']);
});

it('keeps no process alive, and what was sent before its end arrives', async () => {
  const script = "(await import('@commons/backend/lib/datadog.js')).trackEvent({ title: 'last', text: 'word' })";
  const env = { ...process.env, DD_AGENT_HOST: '127.0.0.1', DD_DOGSTATSD_PORT: String(agent.address().port) };
  await promisify(execFile)(process.execPath, builtScript(script), { cwd: buildRoot(), env, timeout: 25_000 });
  expect((await received(1))[0]).toMatch(/^_e\{4,4\}:last\|word/);
}, 40_000);
