/** `lychgate events`: the events of a running edge as they happen, one line each. */

import { Command } from 'commander';
import type { EdgeEvent } from '../control/events.ts';
import { addAdminTarget, followAdmin, readAdminTarget } from './admin-client.ts';

interface EventsOptions {
  readonly admin?: string;
  readonly event?: string;
  readonly upstream?: string;
  readonly after?: string;
  readonly json: boolean;
}

/** The command, ready to be added to the program. */
export function eventsCommand(): Command {
  return addAdminTarget(new Command('events').description('Follow what changes in a running edge: breakers, health, limits, budgets'))
    .option('--event <names>', 'only these events, comma-separated')
    .option('--upstream <name>', 'only of this upstream')
    .option('--after <id>', 'begin after the event with this id; 0 begins with the oldest that is kept')
    .option('--json', 'print one JSON object a line', false)
    .action(async (options: EventsOptions) => {
      const query = new URLSearchParams();
      for (const name of ['event', 'upstream', 'after'] as const) {
        const value = options[name];
        if (value !== undefined) query.set(name, value);
      }
      for await (const line of followAdmin(readAdminTarget(options, process.env), `/v1/events?${query}`)) {
        if (!line.startsWith('data: ')) continue;
        const data = line.slice('data: '.length);
        process.stdout.write(`${options.json ? data : formatEvent(JSON.parse(data) as EdgeEvent)}\n`);
      }
    });
}

/** `12:00:01.250  breaker_opened       web  h2c://10.0.0.1:9000  connect_failed`. */
export function formatEvent({ at, event, upstream, backend, reason, detail }: EdgeEvent): string {
  return [at.slice(11, 23), event.padEnd(19), upstream, backend, reason, detail].filter((part) => part !== undefined).join('  ');
}
