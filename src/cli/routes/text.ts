/** `routes` and `routes test` for terminals. */

import type { Snapshot } from '../../config/snapshot/snapshot.ts';
import type { Edit } from '../../lane/plan/plan.ts';
import { inPrecedence } from '../../lane/route/precedence.ts';
import { count } from '../report.ts';
import { type Column, formatTable } from '../table.ts';
import type { RouteTest, TargetView } from './explain.ts';
import { conditionsText, limitRows, outcomeText, pathText, percent, subsetText } from './wording.ts';

/** All routes, those that go first at the top. */
export function formatRoutes({ routes, tenants, upstreams }: Snapshot): string {
  const hasTenants = routes.some(({ match }) => match.tenant !== -1);
  const hasConditions = routes.some(({ match }) => conditionsText(match) !== '');
  const columns: Column[] = [
    { title: 'ROUTE' },
    ...(hasTenants ? [{ title: 'TENANT' }] : []),
    { title: 'HOST' },
    { title: 'PATH' },
    ...(hasConditions ? [{ title: 'WHERE' }] : []),
    { title: 'TO' },
  ];
  const rows = inPrecedence(routes).map((number) => {
    const route = routes[number]!;
    const { match } = route;
    return [
      route.name,
      ...(hasTenants ? [tenants[match.tenant]?.name ?? ''] : []),
      match.host,
      pathText(match),
      ...(hasConditions ? [conditionsText(match)] : []),
      outcomeText(route, upstreams),
    ];
  });
  return formatTable(columns, rows);
}

/** Which route takes a request and what becomes of it, in sections. */
export function formatTest(test: RouteTest): string {
  const { request, client, tenant, passedOver, route, outcome } = test;
  const lines = [`${request.method} ${request.scheme}://${request.authority}${request.path}`];
  const told = client === request.peer ? '' : ` (told by the trusted peer ${request.peer})`;
  lines.push(row('client', `${client}${told}`));
  if (tenant !== '') lines.push(row('tenant', tenant));
  if (test.complaint !== '') lines.push(row('no route', `400 path_not_canonical: ${test.complaint}`));
  for (const [i, { route: name, failed }] of passedOver.entries())
    lines.push(row(i === 0 ? 'passed over' : '', `${name}: fails at ${failed}`));
  if (route !== null) {
    const conditions = conditionsText(route.match);
    lines.push(
      row('route', `${route.name}: ${route.match.host} ${pathText(route.match)}${conditions === '' ? '' : ` where ${conditions}`}`),
    );
  } else if (outcome.kind === 'refused' && test.complaint === '') lines.push(row('no route', `${outcome.status} ${outcome.code}`));
  if (outcome.kind === 'answered') {
    lines.push(row('answer', `${outcome.status} ${outcome.code}`));
    lines.push(...outcome.fields.map(([name, value]) => row('', `${name}: ${value}`)));
    if (outcome.body !== '') lines.push(row('', `${Buffer.byteLength(outcome.body, 'latin1')} bytes of body`));
  }
  if (outcome.kind === 'forwarded') {
    lines.push(...forwardedLines(outcome.targets, request.method));
    if (outcome.fallback !== null) lines.push(row('or else', outcome.fallback));
  }
  if (route !== null) lines.push(...limitRows(route).map(([name, text]) => row(name, text)));
  return `${lines.join('\n')}\n`;
}

/** What is the same for all targets is said once. */
function forwardedLines(targets: readonly TargetView[], method: string): string[] {
  const blocks = targets.map((target) => ({ to: targetLine(target), sent: sentLines(target, method) }));
  const isShared = blocks.every(({ sent }) => sent.join() === blocks[0]!.sent.join());
  if (isShared) return [...blocks.map(({ to }) => to), ...(blocks[0]?.sent ?? [])];
  return blocks.flatMap(({ to, sent }) => [to, ...sent]);
}

function targetLine({ upstream, share, subset, policy, backends }: TargetView): string {
  return row('to', `${upstream}${subsetText(subset)}, ${percent(share)}, ${count(backends, 'backend')} by ${policy}`);
}

function sentLines({ authority, path, requestEdits, responseEdits }: TargetView, method: string): string[] {
  return [
    row('  request', `${method} ${path}`),
    row('', `host ${authority}`),
    ...editLines(requestEdits),
    ...editLines(responseEdits).map((line, i) => (i === 0 ? row('  response', line.trimStart()) : line)),
  ];
}

/** Removals of one after another share a line. */
function editLines(edits: readonly Edit[]): string[] {
  const lines: string[] = [];
  let removed: string[] = [];
  const flush = (): void => {
    if (removed.length > 0) lines.push(row('', `remove ${removed.join(', ')}`));
    removed = [];
  };
  for (const { op, name, value } of edits) {
    if (op === 'remove') removed.push(name);
    else if (op === 'remove-regex') removed.push(`/${name}/`);
    else {
      flush();
      lines.push(row('', `${op} ${name}: ${value}`));
    }
  }
  flush();
  return lines;
}

function row(name: string, text: string): string {
  return `  ${name.padEnd(12)}${text}`;
}
