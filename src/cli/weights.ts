/**
 * `lychgate weights`: shows and changes the weights of a running edge: of backends, and of the
 * targets of split routes.
 */

import { Command, InvalidArgumentError } from 'commander';
import type { WeightOrder, WeightsInForce } from '../control/weights.ts';
import { addAdminTarget, askAdmin, readAdminTarget, tellAdmin } from './admin-client.ts';
import { formatTable } from './table.ts';

interface WeightOptions {
  readonly admin?: string;
  readonly json: boolean;
}

const EXAMPLES = `
Examples:
  lychgate weights                                       what they are
  lychgate weights backend web h2c://10.0.0.1:9000 0     drain a backend: no new requests, those in flight end
  lychgate weights route shop 95 5                       5 % to the second target`;

/** The command, ready to be added to the program. */
export function weightsCommand(): Command {
  const weights = withOptions(
    new Command('weights').description('Show or change weights of a running edge; a change lasts as long as it runs'),
  )
    .addHelpText('after', EXAMPLES)
    .action(async (options: WeightOptions) =>
      print(await askAdmin<WeightsInForce>(readAdminTarget(options, process.env), '/v1/weights'), options),
    );
  weights.addCommand(
    withOptions(new Command('backend').description('Set the weight of a backend; 0 drains it'))
      .argument('<upstream>')
      .argument('<url>', 'the backend, as configured')
      .argument('<weight>', 'from 0 to 10000', parseWeight)
      .action((upstream: string, backend: string, weight: number, _: unknown, command: Command) =>
        change(command, { upstream, backend, weight }),
      ),
  );
  weights.addCommand(
    withOptions(new Command('route').description('Set the weights of the targets of a split route'))
      .argument('<route>')
      .argument('<weights...>', 'one for each target, in configured order', collectWeights)
      .action((route: string, values: number[], _: unknown, command: Command) => change(command, { route, weights: values })),
  );
  return weights;
}

function withOptions(command: Command): Command {
  return addAdminTarget(command).option('--json', "print the admin API's answer, in JSON", false);
}

/** A subcommand's flags may also stand before it. */
async function change(command: Command, order: WeightOrder): Promise<void> {
  const options = command.optsWithGlobals<WeightOptions>();
  print(await tellAdmin<WeightsInForce>(readAdminTarget(options, process.env), '/v1/weights', order), options);
}

function print(weights: WeightsInForce, { json }: WeightOptions): void {
  process.stdout.write(json ? `${JSON.stringify(weights, undefined, 2)}\n` : formatWeights(weights));
}

/** A table of backends, then one of split routes where there are any. */
export function formatWeights({ backends, routes }: WeightsInForce): string {
  const table = formatTable(
    [{ title: 'UPSTREAM' }, { title: 'BACKEND' }, { title: 'WEIGHT', isNumber: true }, { title: 'CONFIGURED', isNumber: true }],
    backends.map(({ upstream, backend, weight, configured }) => [upstream, backend, String(weight), String(configured)]),
  );
  if (routes.length === 0) return table;
  const splits = formatTable(
    [{ title: 'ROUTE' }, { title: 'TARGET' }, { title: 'WEIGHT', isNumber: true }, { title: 'CONFIGURED', isNumber: true }],
    routes.flatMap(({ route, targets }) =>
      targets.map(({ upstream, subset, weight, configured }, place) => {
        const labels = Object.entries(subset).map(([name, value]) => `${name}=${value}`);
        return [place === 0 ? route : '', [upstream, ...labels].join(' '), String(weight), String(configured)];
      }),
    ),
  );
  return `${table}\n${splits}`;
}

function parseWeight(text: string): number {
  const weight = Number(text);
  if (!/^\d+$/.test(text) || weight > 10_000) throw new InvalidArgumentError('expected a whole number from 0 to 10000');
  return weight;
}

function collectWeights(text: string, before: number[] | undefined): number[] {
  return [...(before ?? []), parseWeight(text)];
}
