import { NAME_PART, plainName } from './sql-writes.js';

/** A statement that begins, ends or divides a transaction, alone in its text. */
export interface ControlStep {
  readonly verb: 'begin' | 'commit' | 'savepoint' | 'release' | 'rollback';
  /** The savepoint; empty for what has none. `rollback` always has one: a plain ROLLBACK is no step here. */
  readonly name: string;
}

const SAVEPOINT = String.raw`(?:savepoint\s+)?(${NAME_PART})`;
const STEP = new RegExp(
  String.raw`^\s*(?:(begin|start\s+transaction)\b[^;]*|(commit|end)(?:\s+(?:work|transaction))?|savepoint\s+(${NAME_PART})`
    + String.raw`|release\s+${SAVEPOINT}|rollback(?:\s+(?:work|transaction))?\s+to\s+${SAVEPOINT})\s*;?\s*$`,
  'i',
);
/** Any of them starts with one of these letters, and most statements do not. */
const LIKELY = /^\s*[bsecr]/i;

/** The step that `sql` consists of; undefined for any other statement, and for several in one text. */
export function controlStepOf(sql: string): ControlStep | undefined {
  const match = LIKELY.test(sql) ? STEP.exec(sql) : null;
  if (!match) return undefined;
  const [, begin, commit, savepoint, release, rollback] = match;
  if (begin) return { verb: 'begin', name: '' };
  if (commit) return { verb: 'commit', name: '' };
  if (savepoint) return { verb: 'savepoint', name: plainName(savepoint) };
  return release ? { verb: 'release', name: plainName(release) } : { verb: 'rollback', name: plainName(rollback ?? '') };
}
