import { parseArgs } from 'node:util';
import { machineFacts } from './harness/machine.js';
import { rounded } from './harness/statistics.js';
import { table } from './harness/table.js';
import { bodiesAtOnce } from './torture/bodies-at-once.js';
import { canary } from './torture/canary.js';
import { costlyTexts } from './torture/costly-texts.js';
import { forgedTokens } from './torture/forged-tokens.js';
import { fuzzedSlugs } from './torture/fuzzed-slugs.js';
import { hostileBodies } from './torture/hostile-bodies.js';
import { type Ground, openGround } from './torture/ground.js';
import { sessionState } from './torture/session-state.js';
import { slowSockets } from './torture/slow-sockets.js';
import type { Verdict } from './torture/verdict.js';

const USAGE = `npm run torture -- [tokens] [slugs] [bodies] [at-once] [canary] [texts] [state] [slow] [options]

What hostile callers get, from the built service over HTTP. Exits with 1 when a bound is missed. Without a name: all of it.
  --quick       smaller, for CI: the same kinds, fewer of each, and times that a loaded machine reaches
  --seed <n>    the same seed, the same requests
`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { quick: { type: 'boolean', default: false }, help: { type: 'boolean', default: false }, seed: { type: 'string' } },
});

const seed = Number(values.seed ?? Date.now() % 1_000_000);
const sized = (full: number, quick: number): number => (values.quick ? quick : full);

const MEASUREMENTS: Record<string, (ground: Ground) => Promise<Verdict>> = {
  tokens: (ground) => forgedTokens(ground, { tokens: sized(10_000, 1_700), seed }),
  slugs: (ground) => fuzzedSlugs(ground, { slugs: sized(100_000, 3_000), seed }),
  bodies: (ground) => hostileBodies(ground, { bodies: sized(10_000, 500), seed }),
  'at-once': (ground) => bodiesAtOnce(ground, { bodies: sized(100, 12), mostDelay: sized(250, 5_000), mostWait: sized(2_000, 10_000), mostMemory: sized(400, 600) }),
  canary: (ground) => canary(ground, { requests: sized(10_000, 300), seed }),
  texts: (ground) => costlyTexts(ground, { bytes: sized(900_000, 200_000), mostDelay: sized(250, 5_000) }),
  state: sessionState,
  slow: (ground) => slowSockets(ground, { sockets: sized(500, 60), mostP99: sized(250, 5_000), mostSeconds: sized(15, 45) }),
};

async function main(): Promise<void> {
  const names = positionals.length > 0 ? positionals : Object.keys(MEASUREMENTS);
  const unknown = names.filter((name) => MEASUREMENTS[name] === undefined);
  if (values.help || unknown.length > 0 || !Number.isSafeInteger(seed)) {
    console.log(unknown.length > 0 ? `There is no measurement ${unknown.join(', ')}.\n\n${USAGE}` : USAGE);
    process.exitCode = values.help ? 0 : 1;
    return;
  }
  const { cpu, cores, node, platform } = machineFacts();
  console.log(`${cpu}, ${cores} cores, Node ${node}, ${platform}; seed ${seed}\n`);
  const ground = await openGround();
  const verdicts: Verdict[] = [];
  try {
    for (const name of names) {
      const began = performance.now();
      verdicts.push(await MEASUREMENTS[name]!(ground));
      console.log(`  ${name}: ${rounded((performance.now() - began) / 1_000)} s`);
    }
  } finally {
    await ground.close();
  }
  const figures = verdicts.flatMap((verdict) => verdict.figures);
  const rows = figures.map(({ what, measured, bound, holds }) => [what, measured, bound, holds ? 'reached' : 'MISSED']);
  console.log(`\n${table(['Torture', 'measured', 'must be', ''], rows)}`);
  for (const example of verdicts.flatMap(({ examples }) => examples)) console.log(`  ${example}`);
  if (figures.some(({ holds }) => !holds)) process.exitCode = 1;
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
