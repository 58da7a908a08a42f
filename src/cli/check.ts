/** `lychgate check`: everything that can be known about a configuration without starting it. */

import { loadSnapshot } from '../config/load.ts';
import { hasErrors, type Problem, placeComplaints } from '../config/problem.ts';
import type { ReadFile } from '../config/read/include.ts';
import type { Outside } from '../config/read/override.ts';
import type { RouteSnapshot } from '../config/snapshot/route.ts';
import type { Snapshot } from '../config/snapshot/snapshot.ts';
import { complaintsOfAddon } from './addon-check.ts';
import { count, EXIT_FAILED, reportProblems } from './report.ts';

/**
 * Checks a configuration; mistakes go to stderr, a summary to stdout. Returns the exit status: 0,
 * or 1 when there is an error.
 */
export async function check(file: string, outside: Outside): Promise<number> {
  const { snapshot, problems: found, files } = await loadSnapshot(file, outside);
  const problems = [...found, ...(snapshot === undefined ? [] : refusedByAddon(file, snapshot))];
  reportProblems(problems);
  if (snapshot === undefined || hasErrors(problems)) return EXIT_FAILED;
  process.stdout.write(summary(file, snapshot, files));
  return 0;
}

/** Certificates that a start would refuse although they were found good here. */
function refusedByAddon(file: string, { listeners }: Snapshot): Problem[] {
  const complaints = listeners.flatMap(({ certificates }, place) =>
    certificates.flatMap((certificate, index) => complaintsOfAddon(certificate, ['listeners', place, 'certificates', index])),
  );
  return placeComplaints(complaints, () => ({ source: file }));
}

function summary(file: string, snapshot: Snapshot, files: readonly ReadFile[]): string {
  const { listeners, routes, upstreams, backends, shards, admin, generation } = snapshot;
  const lines = [
    `${file} is valid`,
    // One file needs no list.
    ...(files.length === 1 ? [] : files.map(({ file, routes }) => `  file      ${file}: ${count(routes, 'route')}`)),
    ...listeners.map(({ name, address, certificates }) => {
      const names = certificates.flatMap((certificate) => certificate.names);
      return `  listener  ${name} on ${address} for ${names.join(', ')}`;
    }),
    ...upstreams.map(({ name, balance, slots }) => {
      const urls = slots.map((slot) => backends[slot]?.url ?? '');
      return `  upstream  ${name}: ${urls.join(', ')} by ${balance.policy}`;
    }),
    ...routes.slice(0, MAX_ROUTES).map((route) => `  route     ${route.name} ${outcome(route, upstreams)}`),
    ...(routes.length > MAX_ROUTES ? [`  route     … and ${routes.length - MAX_ROUTES} more`] : []),
    `  admin     ${admin.address === '' ? 'off' : `${admin.address}${admin.token === '' ? '' : ' with a token'}`}`,
    ...(admin.probesAddress === '' ? [] : [`  probes    ${admin.probesAddress}`]),
    `  process   ${count(shards.count, 'shard')}`,
    `  generation ${generation}`,
  ];
  return `${lines.join('\n')}\n`;
}

/** What becomes of the requests of a route, in a few words. */
function outcome({ targets, redirect, fixed }: RouteSnapshot, upstreams: Snapshot['upstreams']): string {
  if (redirect !== undefined) return `redirected with ${redirect.status}`;
  if (fixed !== undefined) return `answered with ${fixed.status}`;
  const [first] = targets;
  if (targets.length === 1 && first !== undefined) return `to ${upstreams[first.upstream]?.name ?? ''}`;
  return `to ${targets.map(({ upstream, weight }) => `${upstreams[upstream]?.name ?? ''} (${weight})`).join(', ')}`;
}

/** Routes named in the summary; a large site has thousands. */
const MAX_ROUTES = 20;
