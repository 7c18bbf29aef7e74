/**
 * A `mark` is one of `( ) ; , .`; `other` is what holds neither a name nor a key word: literals, numbers, parameters, operators.
 * `end` stands behind the last token, for ever.
 */
export type TokenKind = 'word' | 'quoted' | 'mark' | 'other' | 'end';

/**
 * Reads SQL token by token, by Postgres's own rules (its documentation, 4.1; its scan.l): comments nest, `$tag$` quotes, E'' has
 * escapes, and a literal, a quoted name or a comment that never ends goes on to the end of the text.
 *
 * Each character is looked at a fixed number of times, whatever the text is: it is a job's, or of whoever the job lets write it.
 */
export class SqlTokens {
  kind: TokenKind = 'end';
  readonly #sql: string;
  #start = 0;
  #end = 0;

  /** The first token is the current one at once. */
  constructor(sql: string) {
    this.#sql = sql;
    this.next();
  }

  /** Where the current token begins, in characters of the text. */
  get start(): number {
    return this.#start;
  }

  /** The current token as it is written. */
  get text(): string {
    return this.#sql.slice(this.#start, this.#end);
  }

  /** The current token in lower case, where it is a word; '' for all others. */
  get word(): string {
    return this.kind === 'word' ? lowerCase(this.text) : '';
  }

  isMark(mark: string): boolean {
    return this.kind === 'mark' && this.#sql[this.#start] === mark;
  }

  /** Passes over the current token if it is one of these words, in lower case. */
  accept(...words: readonly string[]): boolean {
    const isOne = this.kind === 'word' && words.includes(this.word);
    if (isOne) this.next();
    return isOne;
  }

  /** Passes over a name, such as `"My Schema".t`, and gives its parts as they are stored; undefined where none stands. */
  name(): readonly string[] | undefined {
    const parts: string[] = [];
    do {
      const part = this.part();
      if (part === undefined) break;
      parts.push(part);
    } while (this.#acceptMark('.'));
    return parts.length > 0 ? parts : undefined;
  }

  /** Passes over one part of a name. */
  part(): string | undefined {
    const part = this.kind === 'word' ? this.word : this.kind === 'quoted' ? unquoted(this.text) : undefined;
    if (part !== undefined) this.next();
    return part;
  }

  next(): void {
    const sql = this.#sql;
    const at = (this.#start = endOfGap(sql, this.#end));
    const unit = sql.charCodeAt(at);
    if (at >= sql.length) this.#set('end', at);
    else if (startsWord(unit)) this.#word(at);
    else if (isMarkUnit(unit)) this.#set('mark', at + 1);
    else if (unit === QUOTE) this.#set('other', endOfQuoted(sql, at + 1, QUOTE));
    else if (unit === DOUBLE_QUOTE) this.#set('quoted', endOfQuoted(sql, at + 1, DOUBLE_QUOTE));
    else if (unit === DOLLAR) this.#set('other', endOfDollar(sql, at));
    // `1e5`, `0x1F` and `1_000` are one token, and so is what is no number in the end.
    else this.#set('other', isDigit(unit) ? endOfWord(sql, at + 1) : at + 1);
  }

  #word(at: number): void {
    const sql = this.#sql;
    const end = endOfWord(sql, at + 1);
    const [first, second] = [sql.charCodeAt(at) | LOWER, sql.charCodeAt(end)];
    if (end > at + 1) this.#set('word', end);
    else if (first === LETTER_E && second === QUOTE) this.#set('other', endOfEscaped(sql, end + 1));
    else if (first === LETTER_U && second === AMPERSAND && sql.charCodeAt(end + 1) === DOUBLE_QUOTE) this.#set('quoted', endOfQuoted(sql, end + 2, DOUBLE_QUOTE));
    else this.#set('word', end);
  }

  #set(kind: TokenKind, end: number): void {
    this.kind = kind;
    this.#end = end;
  }

  #acceptMark(mark: string): boolean {
    const isIt = this.isMark(mark);
    if (isIt) this.next();
    return isIt;
  }
}

const [QUOTE, DOUBLE_QUOTE, BACKSLASH, DOLLAR, AMPERSAND, MINUS, SLASH, STAR] = [0x27, 0x22, 0x5c, 0x24, 0x26, 0x2d, 0x2f, 0x2a];
const [LETTER_E, LETTER_U, LOWER, UNDERSCORE] = [0x65, 0x75, 0x20, 0x5f];
const [NEWLINE, RETURN] = [0x0a, 0x0d];

const isSpace = (unit: number): boolean => unit === 0x20 || (unit >= 0x09 && unit <= 0x0d);
const isDigit = (unit: number): boolean => unit >= 0x30 && unit <= 0x39;
const isLetter = (unit: number): boolean => (unit | LOWER) >= 0x61 && (unit | LOWER) <= 0x7a;
/** Every character outside ASCII is a letter, even a no-break space. */
const startsWord = (unit: number): boolean => isLetter(unit) || unit === UNDERSCORE || unit >= 0x80;
const isMarkUnit = (unit: number): boolean => unit === 0x28 || unit === 0x29 || unit === 0x3b || unit === 0x2c || unit === 0x2e;

/** Postgres folds a name that is not quoted by ASCII alone (in UTF-8). */
const lowerCase = (word: string): string => word.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());

function unquoted(quoted: string): string {
  if (quoted.startsWith('"')) return quoted.slice(1, -1).replaceAll('""', '"');
  const escaped = quoted.slice(3, -1).replaceAll('""', '"');
  return escaped.replace(/\\(?:\\|([\da-f]{4})|\+([\da-f]{6}))/gi, (all: string, four?: string, six?: string) => {
    const point = Number.parseInt(four ?? six ?? '5c', 16);
    return point <= 0x10_ffff ? String.fromCodePoint(point) : all;
  });
}

function endOfWord(sql: string, from: number): number {
  let at = from;
  for (let unit = sql.charCodeAt(at); startsWord(unit) || isDigit(unit) || unit === DOLLAR; unit = sql.charCodeAt(at)) at++;
  return at;
}

/** The position after white space and comments. */
function endOfGap(sql: string, from: number): number {
  for (let at = from; ; ) {
    const unit = sql.charCodeAt(at);
    if (isSpace(unit)) at++;
    else if (unit === MINUS && sql.charCodeAt(at + 1) === MINUS) at = endOfLine(sql, at + 2);
    else if (unit === SLASH && sql.charCodeAt(at + 1) === STAR) at = endOfComment(sql, at + 2);
    else return at;
  }
}

function endOfLine(sql: string, from: number): number {
  let at = from;
  while (at < sql.length && sql.charCodeAt(at) !== NEWLINE && sql.charCodeAt(at) !== RETURN) at++;
  return at;
}

function endOfComment(sql: string, from: number): number {
  let depth = 1;
  for (let at = from; at < sql.length; at++) {
    const [unit, following] = [sql.charCodeAt(at), sql.charCodeAt(at + 1)];
    if (unit === SLASH && following === STAR) depth++;
    else if (unit !== STAR || following !== SLASH) continue;
    else if (--depth === 0) return at + 2;
    at++;
  }
  return sql.length;
}

/** The end of a text in which a quotation mark is written twice. */
function endOfQuoted(sql: string, from: number, mark: number): number {
  const quote = String.fromCharCode(mark);
  for (let at = sql.indexOf(quote, from); at >= 0; at = sql.indexOf(quote, at + 2)) if (sql.charCodeAt(at + 1) !== mark) return at + 1;
  return sql.length;
}

/** The end of E'...'. `E'a'` and, on a later line, `'b'` are one literal. */
function endOfEscaped(sql: string, from: number): number {
  for (let at = from; at < sql.length; at++) {
    const unit = sql.charCodeAt(at);
    if (unit === BACKSLASH || (unit === QUOTE && sql.charCodeAt(at + 1) === QUOTE)) at++;
    else if (unit === QUOTE) {
      const next = continuation(sql, at + 1);
      if (next === undefined) return at + 1;
      at = next;
    }
  }
  return sql.length;
}

/** The position of the quotation mark with which a literal goes on, on a later line. The text up to it may be looked at a second time, as a gap, and no third time. */
function continuation(sql: string, from: number): number | undefined {
  let at = from;
  let isLater = false;
  for (;;) {
    const unit = sql.charCodeAt(at);
    if (unit === MINUS && sql.charCodeAt(at + 1) === MINUS) at = endOfLine(sql, at + 2);
    else if (isSpace(unit)) at++;
    else return isLater && unit === QUOTE ? at : undefined;
    isLater ||= unit === NEWLINE || unit === RETURN;
  }
}

/** The end of a parameter, of a text between two `$tag$`, or of a single dollar sign. */
function endOfDollar(sql: string, at: number): number {
  const first = sql.charCodeAt(at + 1);
  let end = at + 1;
  if (isDigit(first)) {
    while (isDigit(sql.charCodeAt(end))) end++;
    return end;
  }
  for (let unit = first; startsWord(unit) || (end > at + 1 && isDigit(unit)); unit = sql.charCodeAt(end)) end++;
  if (sql.charCodeAt(end) !== DOLLAR) return at + 1;
  const tag = sql.slice(at, end + 1);
  const close = sql.indexOf(tag, end + 1);
  return close < 0 ? sql.length : close + tag.length;
}
