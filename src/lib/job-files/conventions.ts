import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import ts from 'typescript';
import { categoryOf, JOB_CATEGORIES } from './categories.js';
import { functionNameOf } from './function-name.js';
import { createJobRegistry } from './registry.js';

/** A file that keeps a convention not, and how to mend it. */
export interface ConventionFault {
  /** Its name in the folder. */
  readonly file: string;
  /** From 1 on; undefined where it is about the file as a whole. */
  readonly line: number | undefined;
  readonly rule: string;
  /** What is wrong, and what to write. */
  readonly problem: string;
}

export interface CheckedJobs {
  readonly jobs: readonly string[];
  readonly faults: readonly ConventionFault[];
}

/**
 * Holds a folder of job files against the conventions of src/jobs/README.md. The files are parsed and never run: a check must
 * not do what somebody's top level does, TAG is exported by none of them, and a file that cannot be loaded is checked all the same.
 * @throws when the folder cannot be read
 */
export function checkConventions(folder: string): CheckedJobs {
  const registry = createJobRegistry({ folder, importFile: neverLoaded, loadTimeoutMs: 0 });
  const names = registry.faults().map(({ name, reason }) => ({ file: name, line: undefined, rule: 'name', problem: reason }));
  const jobs = registry.list().map(({ file, slug }) => ({ file, slug }));
  return { jobs: jobs.map(({ slug }) => slug), faults: [...names, ...jobs.flatMap(({ file, slug }) => checkJob(folder, file, slug))] };
}

const neverLoaded = () => Promise.reject(new Error('conventions are checked without loading a job'));

function checkJob(folder: string, file: string, slug: string): ConventionFault[] {
  const text = readFileSync(path.join(folder, file), 'utf8');
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true);
  const faults: ConventionFault[] = [];
  const report = (rule: string, problem: string, node?: ts.Node) => {
    const line = node && source.getLineAndCharacterOfPosition(node.getStart(source)).line + 1;
    faults.push({ file, line, rule, problem });
  };
  const { diagnostics = [] } = ts.transpileModule(text, { fileName: file, reportDiagnostics: true, compilerOptions: { target: ts.ScriptTarget.Latest } });
  const [broken] = diagnostics;
  if (broken) {
    // What a broken file exports cannot be told.
    const line = source.getLineAndCharacterOfPosition(broken.start ?? 0).line + 1;
    return [{ file, line, rule: 'syntax', problem: `It cannot be parsed: ${ts.flattenDiagnosticMessageText(broken.messageText, ' ')}` }];
  }

  const exported = exportsOf(source);
  const variables = variablesOf(source);
  const name = functionNameOf(slug);
  if (!categoryOf(slug)) report('prefix', `It begins with none of ${Object.keys(JOB_CATEGORIES).map((each) => `${each}-`).join(', ')}. Rename it, its spec and its TAG: what a job does is seen from its name.`);
  if (!exported.has('default')) report('default export', 'It has none. End it with: export default main; where main: ScriptHandler is what the service calls.');
  if (!exported.has(name)) report('named export', `It does not export ${name}. Write: export const ${name} = async (body: unknown) => {...}; it is what tests call.`);
  checkTag(slug, variables.get('TAG'), report);
  if (!exported.has('RequestBody')) {
    const inside = variables.get('RequestBody');
    report('RequestBody', inside ? 'It is not exported. Put export before const RequestBody: the service then checks the body, and the command line makes flags of it.'
      : 'It exports none. Write: export const RequestBody = z.object({...}); with {} for a job that takes nothing.', inside);
  }
  if (!exported.has('config')) report('description', "It exports no config. Write: export const config: JobConfig = { description: 'What it does, in one sentence.' };");
  else if (!hasDescription(variables.get('config'))) report('description', "Its config has no description. Write one sentence for whoever reads the catalogue: description: '...'", variables.get('config'));
  if (!['ts', 'tsx', 'js'].some((extension) => existsSync(path.join(folder, '__tests__', `${slug}.spec.${extension}`)))) {
    report('spec', `It has none. Write __tests__/${slug}.spec.ts; the templates show what is worth a test.`);
  }
  checkImportsAndConsole(source, report);
  return faults;
}

type Report = (rule: string, problem: string, node?: ts.Node) => void;

function checkTag(slug: string, tag: ts.VariableDeclaration | undefined, report: Report): void {
  const value = tag?.initializer && unwrap(tag.initializer);
  const text = value && ts.isStringLiteralLike(value) ? value.text : undefined;
  if (text === slug) return;
  report('TAG', `${tag ? `It is ${text === undefined ? 'no literal' : `'${text}'`}` : 'It has none'}. Write: const TAG = '${slug}'; whoever reads a log line finds the file.`, tag);
}

function checkImportsAndConsole(source: ts.SourceFile, report: Report): void {
  const visit = (node: ts.Node): void => {
    const specifier = specifierOf(node);
    if (specifier && /^(\.{1,2}|@commons\/backend)(\/|$)/.test(specifier.text) && !/\.js(on)?$/.test(specifier.text)) {
      report('.js imports', `'${specifier.text}' does not end in .js. Node resolves nothing else: write '${specifier.text.replace(/\.[cm]?tsx?$/, '')}.js'.`, specifier);
    }
    if ((ts.isPropertyAccessExpression(node) || ts.isElementAccessExpression(node)) && ts.isIdentifier(node.expression) && node.expression.text === 'console') {
      report('console', "It writes to the console. Write: logger.log(message, TAG, data), of '@commons/backend/lib/logging.js'; those lines are kept with the run.", node);
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
}

/** What an import, a re-export or import() names. */
function specifierOf(node: ts.Node): ts.StringLiteralLike | undefined {
  const named = ts.isImportDeclaration(node) || ts.isExportDeclaration(node) ? node.moduleSpecifier
    : ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword ? node.arguments[0] : undefined;
  return named && ts.isStringLiteralLike(named) ? named : undefined;
}

/** The names under which a module exports values at its top level; what `export *` adds is not seen. */
function exportsOf(source: ts.SourceFile): Set<string> {
  const names = new Set<string>();
  for (const statement of source.statements) {
    const modifiers = ts.canHaveModifiers(statement) ? ts.getModifiers(statement) ?? [] : [];
    const has = (kind: ts.SyntaxKind) => modifiers.some((modifier) => modifier.kind === kind);
    if (ts.isExportAssignment(statement)) names.add('default');
    else if (ts.isExportDeclaration(statement) && statement.exportClause && ts.isNamedExports(statement.exportClause)) {
      for (const { name, isTypeOnly } of statement.exportClause.elements) if (!isTypeOnly && !statement.isTypeOnly) names.add(name.text);
    } else if (has(ts.SyntaxKind.ExportKeyword)) {
      if (has(ts.SyntaxKind.DefaultKeyword)) names.add('default');
      else if (ts.isVariableStatement(statement)) for (const { name } of statement.declarationList.declarations) names.add(name.getText(source));
      else if (ts.isFunctionDeclaration(statement) && statement.name) names.add(statement.name.text);
    }
  }
  return names;
}

/** The variables of a module's top level, by name. */
const variablesOf = (source: ts.SourceFile): Map<string, ts.VariableDeclaration> =>
  new Map(source.statements.filter(ts.isVariableStatement)
    .flatMap(({ declarationList }) => declarationList.declarations.map((declaration) => [declaration.name.getText(source), declaration] as const)));

/** A description that is put together is taken on trust: what it comes to is not seen without running it. */
function hasDescription(config: ts.VariableDeclaration | undefined): boolean {
  const value = config?.initializer && unwrap(config.initializer);
  if (!value || !ts.isObjectLiteralExpression(value)) return value !== undefined;
  const description = value.properties.find((property) => property.name?.getText() === 'description');
  if (!description || !ts.isPropertyAssignment(description)) return description !== undefined;
  return !ts.isStringLiteralLike(description.initializer) || description.initializer.text.trim() !== '';
}

/** Without `as`, `satisfies` and brackets. */
function unwrap(node: ts.Expression): ts.Expression {
  return ts.isAsExpression(node) || ts.isSatisfiesExpression(node) || ts.isParenthesizedExpression(node) ? unwrap(node.expression) : node;
}
