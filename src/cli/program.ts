import { Command } from 'commander';
import { categoryList } from '../lib/job-files/categories.js';
import type { SourceTree } from '../lib/job-files/source-tree.js';
import { addAuditOptions, type AuditOptions } from './audit-options.js';
import { note, writeResult } from './result-stream.js';
import type { FailuresOptions } from './failures-command.js';
import { addRunFilterOptions, type RunFilterOptions } from './run-filter-options.js';

interface Json {
  readonly json?: boolean;
}

const BODY_ALONG = 'for a run whose body held personal data and was not kept: JSON, @file.json or -';

/**
 * The commands, readable as the command line. Only what parses it is imported here; each command imports the rest when it
 * is the one that was asked for, so that --help is there at once.
 * @param prepare is called before any command, and not for --help
 */
export function createProgram(source: SourceTree, prepare: () => Promise<void>): Command {
  const program = new Command('job')
    .description('Runs jobs and looks at their runs. In a checkout: npm run -s job -- <command>')
    .enablePositionalOptions()
    .exitOverride()
    .configureOutput({ writeOut: writeResult, writeErr: (text) => note(text.trimEnd()) })
    .hook('preAction', prepare);

  program.command('list')
    .description('the jobs, each with its newest run')
    .option('--json', 'as JSON')
    .action(async (options: Json) => (await import('./list-command.js')).listCommand(source, options));

  program.command('run')
    .description('run a job: its result on stdout, its log on stderr, exit code 0 when it succeeded')
    .usage("<slug> [--body '<json>' | --body @file.json | --body -] [--<parameter> <value> ...] [--dry-run]")
    .argument('<slug>', "the job's name, before all flags")
    .argument('[flags...]', "the job's own parameters: run <slug> --help")
    .passThroughOptions()
    .allowUnknownOption()
    .action(async (slug: string, flags: string[]) => (await import('./run-command.js')).runCommand(source, slug, flags));

  addRunFilterOptions(program.command('runs'))
    .description('the history, newest first')
    .option('--json', 'as JSON')
    .action(async (options: RunFilterOptions & Json) => (await import('./runs-command.js')).runsCommand(source, options));

  program.command('show')
    .description('one run with its body, result, error and log')
    .argument('<id>', "the run's id")
    .option('--json', 'as JSON')
    .action(async (id: string, options: Json) => (await import('./show-command.js')).showCommand(source, id, options));

  program.command('failures')
    .description('the items that a run could not process, by kind and each by its key')
    .argument('<id>', "the run's id")
    .option('--json', 'as JSON')
    .option('--csv', 'the items as CSV')
    .action(async (id: string, options: FailuresOptions) => (await import('./failures-command.js')).failuresCommand(source, id, options));

  program.command('rehearse')
    .description('a dry run, the real run once agreed to, and a second one that must write nothing')
    .usage("<slug> [--yes] [--body '<json>' | ...] [--<parameter> <value> ...]")
    .argument('<slug>', "the job's name, before all flags")
    .argument('[flags...]', "the job's own parameters: run <slug> --help")
    .passThroughOptions()
    .allowUnknownOption()
    .action(async (slug: string, flags: string[]) =>
      (await import('./rehearse-command.js')).rehearseCommand(source, slug, flags.filter((flag) => flag !== '--yes'), flags.includes('--yes')));

  program.command('cancel')
    .description('ask a run to stop, whichever process runs it')
    .argument('<id>', "the run's id")
    .action(async (id: string) => (await import('./control-commands.js')).cancelCommand(source, id));

  program.command('resume')
    .description('go on with a run that ended badly, from where it got to')
    .argument('<id>', "the run's id")
    .option('--body <json>', BODY_ALONG)
    .action(async (id: string, { body }: { body?: string }) =>
      (await import('./control-commands.js')).restartCommand(source, id, 'resume', { bodyText: body }));

  program.command('retry')
    .description('start a run that ended badly once more, with the same body')
    .argument('<id>', "the run's id")
    .option('--only-failed', 'just the items that failed')
    .option('--body <json>', BODY_ALONG)
    .action(async (id: string, { onlyFailed, body }: { onlyFailed?: boolean; body?: string }) =>
      (await import('./control-commands.js')).restartCommand(source, id, 'retry', { onlyFailed, bodyText: body }));

  addAuditOptions(program.command('audit'))
    .description('who did what, and who was refused; newest first')
    .action(async (options: AuditOptions) => (await import('./audit-command.js')).auditCommand(source, options));

  program.command('create')
    .description('write a job and its spec from its category\'s template: create backfill patient-phones')
    .argument('[name...]', 'the category and the name, or both in one: backfill-patient-phones. Without it, it asks')
    .option('--table <table>', 'the table that it works on')
    .option('--column <column>', 'the column')
    .option('--force-name', 'take a name that begins with no category, and the plain template')
    .option('--house', 'a job that parses its body itself, as older ones do; default: handle() parses it')
    .addHelpText('after', `\nThe categories:\n${categoryList()}`)
    .action(async (name: string[], options: { table?: string; column?: string; forceName?: boolean; house?: boolean }) =>
      (await import('./create-command.js')).createCommand(source, name, options));

  program.command('check')
    .description('say which job files of a folder have faults, and which keep to no convention, and how to mend them')
    .argument('[folder]', "default: the server's own jobs")
    .option('--strict', 'exit with 1 for advice too, and not just for faults')
    .option('--json', 'as JSON')
    .action(async (folder: string | undefined, options: Json & { strict?: boolean }) => (await import('./check-command.js')).checkCommand(source, folder, options));

  program.command('psql')
    .description("open psql on the service's database, or print the line that connects where psql is not installed")
    .argument('[arguments...]', "for psql, such as -c 'select count(*) from patient'")
    .passThroughOptions()
    .allowUnknownOption()
    .action(async (args: string[]) => (await import('./psql-command.js')).psqlCommand(args));

  program.command('seed')
    .description('fill an empty database with synthetic patients')
    .option('--patients <n>', 'how many (default: 5000)')
    .action(async (options: { patients?: string }) => (await import('./seed-command.js')).seedCommand(source, options));

  program.command('migrate')
    .description('bring the database to the newest migration')
    .action(async () => (await import('./migrate-command.js')).migrateCommand(source));

  program.command('migrate:rollback')
    .description('say what the newest migration would take with it, and take it back once agreed to')
    .option('--yes', 'do not ask')
    .option('--production', 'with --yes: it is meant, although DEPLOYMENT is production')
    .action(async (options: { yes?: boolean; production?: boolean }) => (await import('./roll-back-command.js')).rollBackCommand(source, options));

  program.command('migrate:make')
    .description('write an empty migration')
    .argument('<name>', 'in snake_case, such as add_zip_code')
    .action(async (name: string) => (await import('./make-migration-command.js')).makeMigrationCommand(source, name));

  return program;
}
