import type { JobFiles } from './job-templates.js';

/** The lines of a template in the house form that take the body as it came, and parse it. */
const PARSING = /export const (\w+) = async \(body: unknown\) => \{\n  const bodyResult = RequestBody\.safeParse\(body\);\n  if \(!bodyResult\.success\) \{\n[^]*?\n  \}\n  const ([^]*?) = bodyResult\.data;\n/;
const STATUS_ERROR = /^import \{ StatusError \} from '[^']+';\n/m;
const REFUSAL = ".rejects.toEqual(new StatusError(400, 'Invalid request body'))";

/**
 * A job and its spec in the house form, whose work parses its body itself, made into ones with handle(), whose work gets it parsed.
 * @throws {Error} for a template that is not in the house form
 */
export function withHandle({ job, spec }: JobFiles): JobFiles {
  const [, name] = PARSING.exec(job) ?? [];
  if (name === undefined) throw new Error('the template is not in the house form: it must parse its body as the others do');
  return { job: withoutUnused(jobWithHandle(job, name)), spec: withoutUnused(specWithHandle(spec, name)) };
}

function jobWithHandle(job: string, name: string): string {
  const [before = '', after = ''] = job.replace(PARSING, '\0').split('\0');
  const [, body] = PARSING.exec(job)!.slice(1);
  return `${before}export const ${name} = handle(RequestBody, async (${body}) => {\n${after.replace('\n};\n', '\n});\n')}`
    .replace(`const main: ScriptHandler = async (req) => ${name}(req.body);\nexport default main;`, `export default ${name};`)
    .replace('import type { JobConfig, ScriptHandler }', 'import type { JobConfig }')
    .replace(/^import .*'@commons\/backend\/lib\/(knex|logging)\.js';\n/m, (line) => `import { handle } from '@commons/backend/lib/handle.js';\n${line}`);
}

/** Its tests give bodies to the handler, as a request brings them. */
function specWithHandle(spec: string, name: string): string {
  return spec
    .replace(`import main, { ${name} } from`, 'import main from')
    .replaceAll(REFUSAL, '.rejects.toMatchObject({ status: 400 })')
    .replace('\ndescribe(', `\nconst ${name} = (body: unknown) => main(buildRequest({}, { body }));\n\ndescribe(`);
}

const withoutUnused = (text: string): string => (text.match(/\bStatusError\b/g)?.length === 1 ? text.replace(STATUS_ERROR, '') : text);
