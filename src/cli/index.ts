/**
 * The command line: which commands there are and what they take. Commands are loaded when they run,
 * so that `--version` and `--help` need neither the addon nor a valid configuration.
 */

import { readFileSync } from 'node:fs';
import { Command, CommanderError, type Option } from 'commander';
import { LychgateError } from '../base/errors.ts';
import { certCommand } from './cert.ts';
import { CONFIG_VIEWS, DEFAULT_CERTIFICATES, printConfigView } from './config.ts';
import { eventsCommand } from './events.ts';
import { getCommand } from './get/get.ts';
import { pkiCommand } from './pki/pki.ts';
import { diffCommand, reloadCommand } from './reload.ts';
import { describeFailure, EXIT_FAILED, EXIT_USAGE } from './report.ts';
import { routesCommand } from './routes/routes.ts';
import { addSettings, readSettings } from './settings.ts';
import { upstreamsCommand } from './upstreams.ts';
import { weightsCommand } from './weights.ts';

const EXAMPLES = `
Examples:
  lychgate check --config edge.yaml                      list every mistake
  lychgate run --config edge.yaml                        start the edge; Ctrl-C drains it
  lychgate run --config edge.yaml --log-level debug      a flag wins over environment and file
  lychgate get --insecure https://localhost:8443/        one request over HTTP/3
  lychgate upstreams                                     backends of a running edge: state, load, latency
  lychgate weights route shop 95 5                       shift traffic between the targets of a route
  lychgate reload                                        read the configuration again, without downtime
  lychgate config diff                                   what that would change
  lychgate cert list                                     certificates in use and their days left
  lychgate cert check edge.yaml                          what a rotation would say of the files
  lychgate pki init ca                                   a CA for development, with a revocation list
  lychgate events                                        what changes, as it happens
  lychgate config defaults > edge.yaml                   a file with every key
  lychgate config schema                                 for editors
  lychgate routes test -c edge.yaml https://host/path    which route takes a request, and why`;

/**
 * Runs the command line (without node and script) and sets the process's exit status: 0, 1 for
 * failures, 2 for a command line that is not understood; `get` has statuses of its own.
 */
export async function main(words: readonly string[]): Promise<void> {
  try {
    await program().parseAsync([...words], { from: 'user' });
  } catch (error) {
    if (error instanceof CommanderError) {
      process.exitCode = error.exitCode === 0 ? 0 : EXIT_USAGE;
      return;
    }
    process.stderr.write(`${describeFailure(error)}\n`);
    const isUsage = error instanceof LychgateError && error.code === 'usage_not_valid';
    process.exitCode = isUsage ? EXIT_USAGE : EXIT_FAILED;
  }
}

function program(): Command {
  const lychgate = new Command('lychgate')
    .description('An HTTP/3 edge: QUIC and TLS for the public, pooled sessions to your backends.')
    .version(packageVersion(), '-V, --version')
    .showSuggestionAfterError()
    // Options belong to the command they stand behind: `routes` and `routes test` have some of the
    // same name.
    .enablePositionalOptions()
    .addHelpText('after', EXAMPLES)
    .exitOverride();
  for (const command of [
    runCommand(),
    checkCommand(),
    configCommand(),
    getCommand(),
    routesCommand(),
    upstreamsCommand(),
    weightsCommand(),
    reloadCommand(),
    certCommand(),
    pkiCommand(),
    eventsCommand(),
  ])
    lychgate.addCommand(inherit(command));
  return lychgate;
}

/** What a file without `--config` is. */
const FILE_ARGUMENT = 'configuration file, instead of --config';

function runCommand(): Command {
  return addSettings(new Command('run').description('Start the edge and stay until SIGTERM or SIGINT'))
    .argument('[file]', FILE_ARGUMENT)
    .action(async (given: string | undefined, _, command: Command) => {
      const { file, outside } = readSettings(command, process.env, given);
      const { run } = await import('./run.ts');
      process.exitCode = await run(file, outside);
    });
}

function checkCommand(): Command {
  const description = 'Check a configuration and the files it points at, and list every mistake';
  return addSettings(new Command('check').description(description))
    .argument('[file]', FILE_ARGUMENT)
    .action(async (given: string | undefined, _, command: Command) => {
      const { file, outside } = readSettings(command, process.env, given);
      const { check } = await import('./check.ts');
      process.exitCode = await check(file, outside);
    });
}

function configCommand(): Command {
  const config = new Command('config').description('What can be configured');
  for (const [view, { title }] of Object.entries(CONFIG_VIEWS)) {
    const command = new Command(view).description(title);
    if (view === 'defaults') {
      command.option('--certificates <folder>', 'where its certificates are, from the folder of the file', DEFAULT_CERTIFICATES);
    }
    const print = (options: { certificates?: string }): void => printConfigView(view as keyof typeof CONFIG_VIEWS, options.certificates);
    config.addCommand(inherit(command.action(print)));
  }
  config.addCommand(inherit(diffCommand()));
  return config;
}

/**
 * Commands added whole do not take over how their parent leaves; without this a mistake would end
 * the process from within.
 */
function inherit(command: Command): Command {
  for (const below of command.commands) inherit(below);
  return command.exitOverride().showSuggestionAfterError().configureHelp({ optionDescription: describe });
}

/** That a switch is off where nobody turns it on goes without saying, and so does an empty list. */
function describe(option: Option): string {
  const { description, defaultValue } = option;
  const isPlain = defaultValue === undefined || defaultValue === false || (Array.isArray(defaultValue) && defaultValue.length === 0);
  return isPlain ? description : `${description} (default: ${String(defaultValue)})`;
}

function packageVersion(): string {
  // The same place from src/cli and from dist/cli.
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}
