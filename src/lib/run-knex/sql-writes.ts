import { SqlTokens } from './sql-tokens.js';

export type WriteVerb = 'insert' | 'update' | 'delete' | 'merge' | 'copy' | 'truncate';

/** A write in a statement's text, or a step between savepoints, which decides whether writes stay. */
export interface SqlStep {
  readonly verb: WriteVerb | 'savepoint' | 'release' | 'rollback';
  /** The table as the text names it, with its schema only where the text has one; or the savepoint; empty for a plain ROLLBACK. */
  readonly name: string;
  /** The server's command tag counts its rows: it is neither inside parentheses nor explained. */
  readonly isTop: boolean;
}

/** A name as SQL writes it, without its quotes: `"My Schema"."T"` is `My Schema.T`. */
export const plainName = (name: string): string => (new SqlTokens(name).name() ?? []).join('.');

/** Texts kept with what was found in them: a job sends the same few again and again. In characters. */
const MOST_CACHED_TEXT = 2_000_000;
const cache = new Map<string, readonly SqlStep[]>();
let cachedText = 0;

/** What the statements of `sql` write, in the order of the text: a WITH's writes stand before those of its own statement. */
export function stepsOf(sql: string): readonly SqlStep[] {
  const known = cache.get(sql);
  if (known) return known;
  if (cachedText > MOST_CACHED_TEXT) {
    cache.clear();
    cachedText = 0;
  }
  const steps = new StepFinder(sql).find();
  // A savepoint's name is a new one each time: its text does not come again.
  if (steps.some(({ verb }) => verb === 'savepoint' || verb === 'release' || verb === 'rollback')) return steps;
  cache.set(sql, steps);
  cachedText += sql.length;
  return steps;
}

/** Statements that hold others which they do not run: what is defined or prepared writes when it is called. */
const DEFINING = new Set(['create', 'alter', 'prepare']);

class StepFinder {
  readonly #tokens: SqlTokens;
  readonly #steps: SqlStep[] = [];
  #depth = 0;
  /** Whether the current statement is an EXPLAIN ANALYZE: it runs what it explains, and its tag counts nothing. */
  #isExplained = false;

  constructor(sql: string) {
    this.#tokens = new SqlTokens(sql);
  }

  find(): SqlStep[] {
    const tokens = this.#tokens;
    // Nothing but a statement's beginning, or what follows a parenthesis, can be a write: `on update cascade` is none.
    let mayWrite = this.#begin();
    while (tokens.kind !== 'end') {
      if (tokens.kind === 'mark') mayWrite = this.#mark();
      else {
        const word = mayWrite ? tokens.word : '';
        mayWrite = false;
        tokens.next();
        if (word !== '') this.#write(word);
      }
    }
    return this.#steps;
  }

  #mark(): boolean {
    const tokens = this.#tokens;
    const [opens, closes, ends] = [tokens.isMark('('), tokens.isMark(')'), tokens.isMark(';')];
    tokens.next();
    if (ends) return this.#begin();
    if (opens) this.#depth++;
    else if (closes) this.#depth = Math.max(0, this.#depth - 1);
    return opens || closes;
  }

  /** Reads the words that can only begin a statement. @returns whether a write may come next */
  #begin(): boolean {
    const tokens = this.#tokens;
    this.#depth = 0;
    this.#isExplained = false;
    if (tokens.accept('explain')) {
      if (!isAnalysed(tokens)) this.#passOver();
      this.#isExplained = true;
    }
    const { word } = tokens;
    if (word === 'create' && this.#isTable()) this.#passOver('as');
    else if (DEFINING.has(word)) this.#passOver();
    else if (tokens.accept('savepoint')) this.#add('savepoint', tokens.part());
    else if (tokens.accept('release')) this.#release();
    else if (tokens.accept('rollback', 'abort')) this.#rollback();
    else return true;
    return false;
  }

  /** CREATE TABLE ... AS runs its query, whose WITH may write. */
  #isTable(): boolean {
    const tokens = this.#tokens;
    tokens.next();
    while (tokens.accept('global', 'local', 'temporary', 'temp', 'unlogged')) continue;
    return tokens.accept('table');
  }

  /**
   * Goes on to the end of a statement, past the semicolons in its parentheses (CREATE RULE) and in its body (BEGIN ATOMIC).
   * @param until a word before which it stops too, outside of those
   */
  #passOver(until?: string): void {
    const tokens = this.#tokens;
    let parentheses = 0;
    let blocks = 0;
    while (tokens.kind !== 'end' && !(tokens.isMark(';') && parentheses <= 0 && blocks <= 0)) {
      if (tokens.isMark('(')) parentheses++;
      else if (tokens.isMark(')')) parentheses--;
      const { word } = tokens;
      if (word !== '' && word === until && parentheses <= 0) return;
      tokens.next();
      if (word === 'begin' && tokens.word === 'atomic') blocks++;
      else if (blocks > 0 && word === 'case') blocks++;
      else if (blocks > 0 && word === 'end') blocks--;
    }
  }

  /** Reads on behind the word that a write may begin with. */
  #write(word: string): void {
    const tokens = this.#tokens;
    switch (word) {
      case 'insert':
        if (tokens.accept('into')) this.#add('insert', tokens.name());
        break;
      case 'merge':
        if (tokens.accept('into')) this.#addTable('merge');
        break;
      case 'delete':
        if (tokens.accept('from')) this.#addTable('delete');
        break;
      case 'update':
        this.#addTable('update');
        break;
      case 'copy':
        this.#copy();
        break;
      case 'truncate':
        tokens.accept('table');
        do this.#addTable('truncate');
        while (this.#accepts(','));
    }
  }

  #addTable(verb: WriteVerb): void {
    const tokens = this.#tokens;
    // ONLY t, ONLY (t), t *
    const isInParentheses = tokens.accept('only') && this.#accepts('(');
    this.#add(verb, tokens.name());
    if (isInParentheses) this.#accepts(')');
    if (tokens.kind === 'other' && tokens.text === '*') tokens.next();
  }

  /** COPY of a table, from somewhere. */
  #copy(): void {
    const tokens = this.#tokens;
    tokens.accept('binary');
    const table = tokens.name();
    if (table && tokens.isMark('(')) {
      while (tokens.kind !== 'end' && !tokens.isMark(')')) tokens.next();
      tokens.next();
    }
    if (tokens.word === 'from') this.#add('copy', table);
  }

  #release(): void {
    this.#tokens.accept('savepoint');
    this.#add('release', this.#tokens.part());
  }

  #rollback(): void {
    const tokens = this.#tokens;
    tokens.accept('work', 'transaction');
    if (!tokens.accept('to')) return this.#add('rollback', '');
    tokens.accept('savepoint');
    this.#add('rollback', tokens.part());
  }

  #add(verb: SqlStep['verb'], name: string | readonly string[] | undefined): void {
    if (name !== undefined) this.#steps.push({ verb, name: typeof name === 'string' ? name : name.join('.'), isTop: this.#depth === 0 && !this.#isExplained });
  }

  #accepts(mark: string): boolean {
    const isIt = this.#tokens.isMark(mark);
    if (isIt) this.#tokens.next();
    return isIt;
  }
}

const OFF = new Set(['false', 'off', '0', 'no']);

/** Passes over the options of EXPLAIN. @returns whether it runs what it explains: of ANALYZE twice, the last one counts */
function isAnalysed(tokens: SqlTokens): boolean {
  if (!tokens.isMark('(')) {
    const isIt = tokens.accept('analyze', 'analyse');
    tokens.accept('verbose');
    return isIt;
  }
  let isIt = false;
  while (tokens.kind !== 'end' && !tokens.isMark(')')) {
    tokens.next();
    if (!tokens.accept('analyze', 'analyse')) continue;
    // `analyze`, `analyze off`, `analyze 'off'`
    isIt = !OFF.has(tokens.text.replace(/^['"]|['"]$/g, '').toLowerCase());
  }
  tokens.next();
  return isIt;
}
