/**
 * The options of every command that reads a configuration: the file, and one flag for each key that
 * can be set outside it.
 */

import type { Command } from 'commander';
import { createError } from '../base/errors.ts';
import { flagName, settableKeys } from '../config/keys.ts';
import { givenIn, type Outside } from '../config/read/override.ts';

/** Environment variable that names the file where `--config` does not. */
const CONFIG_VARIABLE = 'LYCHGATE_CONFIG';

/** Adds `--config` and the flags of keys to a command. */
export function addSettings(command: Command): Command {
  command.option('-c, --config <file>', `configuration file; without it, what ${CONFIG_VARIABLE} names`);
  command.optionsGroup('Keys of the configuration:');
  for (const key of settableKeys()) command.option(`${flagName(key)} <value>`, `${key.name} (${key.facts.range.replaceAll('`', '')})`);
  return command;
}

/**
 * What the command line and the environment say; `given` is a file named without `--config`. Throws
 * `usage_not_valid` when none is named, or two.
 */
export function readSettings(command: Command, env: NodeJS.ProcessEnv, given?: string): { file: string; outside: Outside } {
  const options = command.opts<Record<string, string | undefined>>();
  if (given !== undefined && options['config'] !== undefined && given !== options['config']) {
    throw createError('usage_not_valid', `two configurations are named: ${given} and --config ${options['config']}`);
  }
  const file = given ?? options['config'] ?? givenIn(env, CONFIG_VARIABLE);
  if (file === undefined || file === '') {
    throw createError('usage_not_valid', `no configuration is named: use --config FILE or ${CONFIG_VARIABLE}`);
  }
  const flags: Record<string, string> = {};
  for (const key of settableKeys()) {
    const value = options[camelCase(flagName(key))];
    if (value !== undefined) flags[key.name] = value;
  }
  return { file, outside: { env, flags } };
}

/** The name under which commander keeps the value of a flag. */
function camelCase(flag: string): string {
  return flag.slice(2).replaceAll(/-(\w)/g, (_, letter: string) => letter.toUpperCase());
}
