import { Command } from 'commander';
import type { SourceTree } from '../lib/source-tree.js';
import { note, writeResult } from './result-stream.js';
import { addRunFilterOptions, type RunFilterOptions } from './run-filter-options.js';

interface Json {
  readonly json?: boolean;
}

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
    .action(async (id: string) => (await import('./control-commands.js')).restartCommand(source, id, 'resume'));

  program.command('retry')
    .description('start a run that ended badly once more, with the same body')
    .argument('<id>', "the run's id")
    .option('--only-failed', 'just the items that failed')
    .action(async (id: string, { onlyFailed }: { onlyFailed?: boolean }) =>
      (await import('./control-commands.js')).restartCommand(source, id, 'retry', onlyFailed));

  program.command('migrate')
    .description('bring the database to the newest migration')
    .action(async () => (await import('./migrate-command.js')).migrateCommand(source));

  program.command('migrate:rollback')
    .description('take back the newest batch of migrations')
    .action(async () => (await import('./migrate-command.js')).rollBackCommand(source));

  program.command('migrate:make')
    .description('write an empty migration')
    .argument('<name>', 'in snake_case, such as add_zip_code')
    .action(async (name: string) => (await import('./make-migration-command.js')).makeMigrationCommand(source, name));

  return program;
}
