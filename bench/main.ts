import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { backfill, showBackfill } from './backfill.js';
import { backfillKills, showBackfillKills } from './backfill-kills.js';
import { backfillMemory, showBackfillMemory } from './backfill-memory.js';
import { backfillMarkets, showBackfillMarkets } from './backfill-markets.js';
import { counting, showCounting } from './counting.js';
import { cancelLatency, showCancelLatency } from './cancel-latency.js';
import { exportRoster, showExportRoster } from './export-roster.js';
import { machineFacts } from './harness/machine.js';
import { inProject } from './harness/paths.js';
import { killCycles, showKillCycles } from './kill-cycles.js';
import { memory, showMemory } from './memory.js';
import { showStartup, startup } from './startup.js';
import { showThroughput, throughput } from './throughput.js';

const USAGE = `npm run bench -- [throughput] [startup] [memory] [backfill] [backfill-markets] [export-roster] [counting] [backfill-memory] [cancel-latency] [kill-cycles] [backfill-kills] [options]

Without a name: throughput, startup, memory and backfill.
  --quick          smaller, for CI: shows that all works, not how fast it is
  --rounds <n>     throughput, backfill: rounds of each (default 7); counting: 41
  --seconds <n>    throughput: length of a round (default 4)
  --pool <n>       throughput: connections of the naive recorder (default 20)
  --tries <n>      startup: starts with 1 and with 1,000 jobs (default 7); cancel-latency: cancels of each kind (default 15)
  --patients <n>   backfill-markets, export-roster: patients (default 1,000,000); their --rounds are 3 by default
  --cycles <n>     kill-cycles: kills (default 20)
  --kills <n>      backfill-kills: kills (default 200)
  --rows <n>       backfill-kills: rows of the backfill (default 100,000); backfill-memory: 1,000,000
  --seed <n>       kill-cycles, backfill-kills: the same seed, the same moments
`;

const CONNECTIONS = 50;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    quick: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
    rounds: { type: 'string' },
    seconds: { type: 'string' },
    pool: { type: 'string' },
    tries: { type: 'string' },
    patients: { type: 'string' },
    cycles: { type: 'string' },
    kills: { type: 'string' },
    rows: { type: 'string' },
    seed: { type: 'string' },
  },
});

/** The option's number, or one of two defaults. */
function count(name: 'rounds' | 'seconds' | 'pool' | 'tries' | 'patients' | 'cycles' | 'kills' | 'rows' | 'seed', usual: number, quick = usual): number {
  const given = values[name];
  if (given === undefined) return values.quick ? quick : usual;
  if (!/^[1-9]\d*$/.test(given)) throw new RangeError(`--${name}: '${given}' is no whole number of at least 1`);
  return Number(given);
}

/** What is measured, its result as text, and whether it is right (figures that miss a target are not wrong). */
interface Measurement {
  run(): Promise<{ result: unknown; text: string; isRight?: boolean }>;
}

const MEASUREMENTS: Record<string, Measurement> = {
  throughput: {
    async run() {
      const options = { rounds: count('rounds', 7, 2), seconds: count('seconds', 4, 1), connections: CONNECTIONS, naivePool: count('pool', 20) };
      const result = await throughput(options);
      return { result, text: showThroughput(result) };
    },
  },
  startup: {
    async run() {
      const result = await startup({ tries: count('tries', 7, 2) });
      return { result, text: showStartup(result) };
    },
  },
  memory: {
    async run() {
      const marks = values.quick ? [1_000, 5_000, 10_000] : [10_000, 50_000, 100_000];
      const result = await memory({ marks, connections: CONNECTIONS });
      return { result, text: showMemory(result) };
    },
  },
  backfill: {
    async run() {
      const result = await backfill({ rows: values.quick ? 10_000 : 100_000, rounds: count('rounds', 7, 2) });
      return { result, text: showBackfill(result) };
    },
  },
  'backfill-markets': {
    async run() {
      const result = await backfillMarkets({ patients: count('patients', 1_000_000, 20_000), rounds: count('rounds', 3, 1) });
      return { result, text: showBackfillMarkets(result) };
    },
  },
  'export-roster': {
    async run() {
      const result = await exportRoster({ patients: count('patients', 1_000_000, 20_000), rounds: count('rounds', 3, 1) });
      return { result, text: showExportRoster(result) };
    },
  },
  counting: {
    async run() {
      const result = await counting({ rounds: count('rounds', 41, 3), updates: values.quick ? 100 : 500 });
      return { result, text: showCounting(result) };
    },
  },
  'backfill-memory': {
    async run() {
      const result = await backfillMemory({ rows: count('rows', 1_000_000, 20_000) });
      return { result, text: showBackfillMemory(result), isRight: result.isRight };
    },
  },
  'cancel-latency': {
    async run() {
      const result = await cancelLatency({ tries: count('tries', 15, 2) });
      return { result, text: showCancelLatency(result) };
    },
  },
  'kill-cycles': {
    async run() {
      const result = await killCycles({ cycles: count('cycles', 20, 5), seed: count('seed', Date.now() % 1_000_000) });
      return { result, text: showKillCycles(result), isRight: result.violations.length === 0 };
    },
  },
  'backfill-kills': {
    async run() {
      const result = await backfillKills({ kills: count('kills', 200, 5), rows: count('rows', 100_000, 5_000), seed: count('seed', Date.now() % 1_000_000) });
      return { result, text: showBackfillKills(result), isRight: result.isRight };
    },
  },
};

async function main(): Promise<void> {
  const names = positionals.length > 0 ? positionals : ['throughput', 'startup', 'memory', 'backfill'];
  const unknown = names.filter((name) => MEASUREMENTS[name] === undefined);
  if (values.help || unknown.length > 0) {
    console.log(unknown.length > 0 ? `There is no measurement ${unknown.join(', ')}.\n\n${USAGE}` : USAGE);
    process.exitCode = unknown.length > 0 ? 1 : 0;
    return;
  }
  const machine = machineFacts();
  console.log(`${machine.cpu}, ${machine.cores} cores, Node ${machine.node}, ${machine.platform}\n`);
  const results: Record<string, unknown> = {};
  for (const name of names) {
    const { result, text, isRight = true } = await MEASUREMENTS[name]!.run();
    results[name] = result;
    console.log(`${text}\n`);
    if (!isRight) process.exitCode = 1;
  }
  console.log(`Written to ${writeResults({ machine, quick: values.quick, ...results })}`);
}

function writeResults(results: object): string {
  const folder = inProject('bench/results');
  mkdirSync(folder, { recursive: true });
  const file = path.join(folder, `${new Date().toISOString().replaceAll(':', '-').slice(0, 19)}.json`);
  writeFileSync(file, `${JSON.stringify(results, undefined, 2)}\n`);
  return path.relative(inProject(), file);
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
