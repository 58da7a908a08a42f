/**
 * `lychgate routes`: the routes of a configuration in their precedence, and which of them a given
 * request would take. Both are offline: no edge is asked.
 */

import { Command, InvalidArgumentError } from 'commander';
import type { Snapshot } from '../../config/snapshot/snapshot.ts';
import { EXIT_FAILED } from '../report.ts';
import { addSettings, readSettings } from '../settings.ts';

interface TestOptions {
  method: string;
  header: [string, string][];
  client: string;
  listener?: string;
  json: boolean;
}

/** Exit status when no route takes the request. */
const EXIT_NO_ROUTE = 3;

/**
 * The command and its part, ready to be added to the program. Cheap to make: what they need is
 * loaded when they run.
 */
export function routesCommand(): Command {
  const command = addSettings(new Command('routes').description('List routes in their precedence, or test which one a request takes'))
    .enablePositionalOptions()
    .option('--json', 'print JSON', false)
    .action(async (options: { json: boolean }, self: Command) => {
      const snapshot = await load(self);
      if (snapshot === undefined) return;
      const { formatRoutes } = await import('./text.ts');
      const { inPrecedence } = await import('../../lane/route/precedence.ts');
      const { routes } = snapshot;
      process.stdout.write(options.json ? json(inPrecedence(routes).map((number) => routes[number])) : formatRoutes(snapshot));
    });
  return command.addCommand(testCommand());
}

function testCommand(): Command {
  return addSettings(new Command('test').description('Tell which route takes a request, why, and what becomes of it'))
    .exitOverride()
    .showSuggestionAfterError()
    .argument('<url>', 'https://host[:port]/path?query')
    .option('-X, --method <method>', 'method', 'GET')
    .option('-H, --header <name: value>', 'request field, may be repeated', collectHeader, [])
    .option('--client <address>', "address of the connection's peer", '127.0.0.1')
    .option('--listener <name>', 'listener that the request comes by; without it the first')
    .option('--json', 'print JSON', false)
    .addHelpText(
      'after',
      `
Examples:
  lychgate routes test -c edge.yaml https://shop.example.org/api/orders
  lychgate routes test -c edge.yaml -X POST -H 'x-canary: 1' --client 203.0.113.9 https://shop.example.org/

Exit status: 0 a route takes it, 1 the configuration has mistakes, 2 usage, 3 no route takes it.`,
    )
    .action(async (url: string, options: TestOptions, self: Command) => {
      const snapshot = await load(self);
      if (snapshot !== undefined) process.exitCode = await test(snapshot, url, options);
    });
}

async function test(snapshot: Snapshot, url: string, options: TestOptions): Promise<number> {
  const { canonical, splitUrl } = await import('./request.ts');
  const { explainRequest } = await import('./explain.ts');
  const { loadAddon } = await import('../../native/load.ts');
  const listener = await listenerOf(snapshot, options.listener);
  const asked = { method: options.method.toUpperCase(), fields: options.header, peer: options.client, ...splitUrl(url) };
  const { request, complaint } = canonical(asked, listener, loadAddon());
  const found = explainRequest({ ...snapshot, listeners: [listener] }, request, complaint);
  if (options.json) process.stdout.write(json(found));
  else {
    const { formatTest } = await import('./text.ts');
    process.stdout.write(formatTest(found));
  }
  return found.route === null ? EXIT_NO_ROUTE : 0;
}

async function listenerOf({ listeners }: Snapshot, name: string | undefined): Promise<Snapshot['listeners'][number]> {
  const found = name === undefined ? listeners[0] : listeners.find((listener) => listener.name === name);
  if (found !== undefined) return found;
  const { createError } = await import('../../base/errors.ts');
  throw createError(
    'usage_not_valid',
    `there is no listener ${name ?? ''}; there are ${listeners.map((listener) => listener.name).join(', ')}`,
  );
}

/**
 * The snapshot of the configuration, or nothing once its mistakes are told and the exit status is
 * set.
 */
async function load(command: Command): Promise<Snapshot | undefined> {
  const { file, outside } = readSettings(command, process.env);
  const { loadSnapshot } = await import('../../config/load.ts');
  const { snapshot, problems } = await loadSnapshot(file, outside);
  if (snapshot !== undefined) return snapshot;
  const { reportProblems } = await import('../report.ts');
  reportProblems(problems);
  process.exitCode = EXIT_FAILED;
  return undefined;
}

function collectHeader(text: string, before: [string, string][]): [string, string][] {
  const colon = text.indexOf(':', 1);
  if (colon === -1) throw new InvalidArgumentError("a header is 'name: value'");
  return [...before, [text.slice(0, colon).trim().toLowerCase(), text.slice(colon + 1).trim()]];
}

function json(value: unknown): string {
  return `${JSON.stringify(value, undefined, 2)}\n`;
}
