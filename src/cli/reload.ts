/**
 * `lychgate reload`: has a running edge read its configuration again and waits for what comes of
 * it; with `--dry-run`, and as `config diff`, only shows what would change.
 */

import { Command } from 'commander';
import type { Change } from '../config/describe/diff.ts';
import type { ReloadAnswer } from '../control/reload/reload.ts';
import { addAdminTarget, postAdmin, readAdminTarget } from './admin-client.ts';
import { count, EXIT_FAILED } from './report.ts';

interface ReloadOptions {
  readonly admin?: string;
  readonly json: boolean;
  readonly dryRun?: boolean;
}

/** The command, ready to be added to the program. */
export function reloadCommand(): Command {
  const description = 'Tell a running edge to read its configuration again; with a mistake anywhere nothing changes';
  return addAdminTarget(new Command('reload').description(description))
    .option('--dry-run', 'only show what would change', false)
    .option('--json', "print the edge's answer as it is, in JSON", false)
    .action(async (options: ReloadOptions) => {
      process.exitCode = await reload(options, options.dryRun === true);
    });
}

/** `config diff`. */
export function diffCommand(): Command {
  const description = 'Show what a reload of a running edge would change';
  return addAdminTarget(new Command('diff').description(description))
    .option('--json', "print the edge's answer as it is, in JSON", false)
    .action(async (options: ReloadOptions) => {
      process.exitCode = await reload(options, true);
    });
}

async function reload(options: ReloadOptions, isDryRun: boolean): Promise<number> {
  const answer = await postAdmin<ReloadAnswer>(readAdminTarget(options, process.env), '/v1/reload', { dry_run: isDryRun });
  if (options.json) process.stdout.write(`${JSON.stringify(answer, undefined, 2)}\n`);
  else tell(answer);
  return answer.result === 'applied' || answer.result === 'unchanged' ? 0 : EXIT_FAILED;
}

function tell(answer: ReloadAnswer): void {
  const { result, isDryRun, generation, read, changes, restart, problems, detail } = answer;
  for (const problem of problems) process.stderr.write(`${problem}\n`);
  const needing = new Set(restart.map(({ path }) => path));
  const lines = [
    ...changes.filter(({ path }) => !needing.has(path)).map(describeChange),
    ...restart.map((change) => `${describeChange(change)} (needs a restart)`),
  ];
  if (lines.length > 0) process.stdout.write(`${lines.join('\n')}\n`);
  const short = (hash: string): string => hash.slice(0, 12);
  const amount = count(changes.length, 'change');
  const texts: Record<ReloadAnswer['result'], string> = {
    applied: isDryRun
      ? `would be applied: ${amount}; ${short(generation)} is in force`
      : `applied: ${amount}; ${short(generation)} is in force`,
    unchanged: `nothing changed; ${short(generation)} is in force`,
    invalid: `the configuration has mistakes; ${short(generation)} stays in force`,
    needs_restart: `${count(restart.length, 'change')} of ${changes.length} can only be made by a restart, so nothing was done; ${short(generation)} stays in force`,
    no_room: `${detail ?? ''}; ${short(generation)} stays in force`,
    cannot_listen: `${detail ?? ''}, so nothing was done; ${short(generation)} stays in force`,
    busy: detail ?? '',
    not_serving: detail ?? '',
    failed: `${detail ?? ''}; ${short(generation)} stays in force, and the log says more`,
  };
  const isGood = result === 'applied' || result === 'unchanged';
  (isGood ? process.stdout : process.stderr).write(`${texts[result]}${isGood || read === undefined ? '' : ` (read: ${short(read)})`}\n`);
}

function describeChange({ path, before, after }: Change): string {
  if (before === undefined) return `+ ${path}: ${show(after)}`;
  if (after === undefined) return `- ${path}: ${show(before)}`;
  return `~ ${path}: ${show(before)} -> ${show(after)}`;
}

function show(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}
