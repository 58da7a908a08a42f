/**
 * Combinations that are no mistake by themselves and yet can never act: the table of
 * docs/resilience.md. Each is a warning, because what was written does nothing and nobody would
 * see.
 */

import type { Complaint, KeyPath } from '../problem.ts';
import { formatPath } from '../problem.ts';
import type { Config } from '../schema/config.ts';
import type { Route } from '../schema/route.ts';
import { formatDuration } from '../units.ts';

type Upstreams = Config['upstreams'];

/** Methods that may be sent again without being named (RFC 9110 §9.2.2). */
const IDEMPOTENT: readonly string[] = ['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE'];

export function checkNever(path: KeyPath, route: Route, upstreams: Upstreams): Complaint[] {
  const { retries, hedge, fallback, timeouts } = route;
  const complaints: Complaint[] = [];
  const warn = (below: KeyPath, message: string, expected: string): void => {
    complaints.push({ severity: 'warning', path: [...path, ...below], isAboutKey: true, message: `never acts: ${message}`, expected });
  };
  if (retries.attempts === 0) {
    for (const key of ['statuses', 'grpc_statuses'] as const) {
      if (retries[key].length > 0) warn(['retries', key], 'retries.attempts is 0', 'attempts of 1 or more, or fallback.statuses');
    }
    if (retries.methods.length > 0 && hedge === undefined && (fallback?.upstream ?? '') === '') {
      warn(['retries', 'methods'], 'retries.attempts is 0, and there is neither hedge nor fallback.upstream', 'attempts of 1 or more');
    }
  }
  if (hedge !== undefined) {
    for (const [message, expected] of whyNeverHedged(route, upstreams)) warn(['hedge'], message, expected);
  }
  const answering = (['statuses', 'grpc_statuses'] as const).find((key) => (fallback?.[key] ?? []).length > 0);
  if (answering !== undefined && (fallback?.upstream ?? '') !== '' && !takesRepeatable(route)) {
    warn(
      ['fallback', answering],
      'the route takes no method that may be sent again to another upstream',
      'retries.methods, or fallback.respond',
    );
  }
  if (timeouts.exchange > 0 && timeouts.attempt >= timeouts.exchange) {
    const message = `timeouts.exchange (${formatDuration(timeouts.exchange)}) passes first`;
    warn(['timeouts', 'attempt'], message, 'less than timeouts.exchange');
  }
  return complaints;
}

function whyNeverHedged(route: Route, upstreams: Upstreams): [message: string, expected: string][] {
  const reasons: [string, string][] = [];
  const { hedge, timeouts, upstream, split, subset } = route;
  const targets = upstream === '' ? split : [{ upstream, subset }];
  const known = targets.filter((target) => upstreams[target.upstream] !== undefined);
  const membersOf = ({ upstream: name, subset: wanted }: { upstream: string; subset: Route['subset'] }): number =>
    (upstreams[name]?.backends ?? []).filter(({ labels }) => Object.entries(wanted).every(([label, value]) => labels[label] === value))
      .length;
  if (known.length > 0 && known.every((target) => membersOf(target) < 2)) {
    reasons.push(['there is no second backend to send it to', 'an upstream with two backends or more']);
  }
  if (known.length > 0 && known.every((target) => upstreams[target.upstream]?.balance.sticky?.by === 'cookie')) {
    reasons.push([
      `requests stick to their backend by cookie (${formatPath(['upstreams', known[0]?.upstream ?? '', 'balance', 'sticky'])})`,
      'one of the two',
    ]);
  }
  if (!takesRepeatable(route))
    reasons.push(['the route takes no method that may be sent twice', 'GET or another idempotent method, or retries.methods']);
  const earliest = hedge === undefined ? 0 : hedge.delay > 0 ? hedge.delay : hedge.min_delay;
  for (const key of ['exchange', 'attempt', 'head'] as const) {
    if (timeouts[key] > 0 && earliest >= timeouts[key]) {
      reasons.push([`timeouts.${key} (${formatDuration(timeouts[key])}) passes first`, `a delay shorter than timeouts.${key}`]);
      break;
    }
  }
  return reasons;
}

/** Whether some request of the route may be sent again though it was acted on. */
function takesRepeatable({ match, retries }: Route): boolean {
  return match.methods.length === 0 || match.methods.some((method) => IDEMPOTENT.includes(method) || retries.methods.includes(method));
}
