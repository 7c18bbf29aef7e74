import { SqlTokens } from './sql-tokens.js';

/** A statement that begins, ends or divides a transaction, alone in its text. */
export interface ControlStep {
  readonly verb: 'begin' | 'commit' | 'savepoint' | 'release' | 'rollback';
  /** The savepoint; empty for what has none. `rollback` always has one: a plain ROLLBACK is no step here. */
  readonly name: string;
}

/** The step that `sql` consists of; undefined for any other statement, and for several in one text. */
export function controlStepOf(sql: string): ControlStep | undefined {
  const tokens = new SqlTokens(sql);
  const step = read(tokens);
  if (tokens.isMark(';')) tokens.next();
  return tokens.kind === 'end' ? step : undefined;
}

function read(tokens: SqlTokens): ControlStep | undefined {
  if (tokens.accept('begin')) return begin(tokens);
  if (tokens.accept('start')) return tokens.accept('transaction') ? begin(tokens) : undefined;
  if (tokens.accept('commit', 'end')) {
    tokens.accept('work', 'transaction');
    return { verb: 'commit', name: '' };
  }
  if (tokens.accept('savepoint')) return named('savepoint', tokens);
  if (tokens.accept('release')) {
    tokens.accept('savepoint');
    return named('release', tokens);
  }
  if (!tokens.accept('rollback')) return undefined;
  tokens.accept('work', 'transaction');
  if (!tokens.accept('to')) return undefined;
  tokens.accept('savepoint');
  return named('rollback', tokens);
}

/** With its modes, such as ISOLATION LEVEL SERIALIZABLE. */
function begin(tokens: SqlTokens): ControlStep {
  while (tokens.kind !== 'end' && !tokens.isMark(';')) tokens.next();
  return { verb: 'begin', name: '' };
}

function named(verb: ControlStep['verb'], tokens: SqlTokens): ControlStep | undefined {
  const name = tokens.part();
  return name === undefined ? undefined : { verb, name };
}
