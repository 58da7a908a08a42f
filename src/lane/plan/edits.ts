/**
 * The edits of one plan, applied in order; an edit that a later one undoes is left out. The edge's
 * own edits come first, so that the operator has the last word on every field except the sticky
 * cookie. Variables are the client's values, whatever earlier edits did; those known in advance are
 * expanded here.
 */

import type { ClaimsSnapshot } from '../../config/snapshot/process.ts';
import type { EditSnapshot, RouteSnapshot } from '../../config/snapshot/route.ts';
import { FALLBACK_FIELD } from '../answer/fixed-answer.ts';
import type { Aim } from './aim.ts';
import type { Edit, Plan } from './plan.ts';

/**
 * The HTTP version of backends' responses. With `https` each connection negotiates it, so none is
 * stated, which a gateway may do (RFC 9110 §7.6.3).
 */
const VIA_VERSIONS = { h2c: '2', http: '1.1', https: '', '': '' } as const;

const REQUEST_ID = edit('set', 'x-request-id', '${request_id}');

/** Fields that an earlier proxy may have written, and that a client may forge. */
export const FORWARDED_NAMES = ['forwarded', 'x-forwarded-for', 'x-forwarded-proto', 'x-forwarded-host', 'x-forwarded-port'];

export function routePlan(claims: ClaimsSnapshot, common: readonly Edit[], route: RouteSnapshot, aim: Aim): Plan {
  const { on } = route.retries;
  const { statuses, grpcStatuses } = route.fallbackOn;
  const { upstream, backend } = aim;
  return {
    request: [
      ...common,
      ...viaEdits(route, '3'),
      REQUEST_ID,
      ...deadlineEdits(route),
      ...authorityEdits(route, backend),
      ...pathEdits(route),
      ...operatorEdits(route, route.requestEdits, upstream, backend),
    ],
    response: [
      REQUEST_ID,
      ...viaEdits(route, VIA_VERSIONS[aim.scheme]),
      ...(aim.isFallback ? [edit('set', ...FALLBACK_FIELD)] : []),
      ...operatorEdits(route, route.responseEdits, upstream, backend),
      ...(aim.isCookieSet ? [edit('add', 'set-cookie', '${value_1}')] : []),
    ],
    holdStatuses: inOrder(on.statuses, statuses),
    holdGrpcStatuses: inOrder(on.grpcStatuses, grpcStatuses),
    isPathCanonical: route.isPathCanonical,
    underscores: claims.underscores,
    underscoreNames: [...claims.underscoreNames],
  };
}

export function isName(field: string): boolean {
  return field !== '';
}

/** Merges both lists, ascending, without duplicates. */
function inOrder(one: readonly number[], other: readonly number[]): number[] {
  return [...new Set([...one, ...other])].sort((a, b) => a - b);
}

/**
 * The plan for answers of the edge itself. `untold` removes what proxies say of the client from the
 * request that TRACE echoes.
 */
export function answerPlan(untold: Edit[], edits: Edit[]): Plan {
  return {
    request: untold,
    response: [REQUEST_ID, ...edits],
    holdStatuses: [],
    holdGrpcStatuses: [],
    isPathCanonical: false,
    underscores: 'pass',
    underscoreNames: [],
  };
}

/** The companion fields that only the writer of `believed` may send. */
function writtenWith(believed: string): readonly string[] {
  return believed === 'x-forwarded-for' ? FORWARDED_NAMES.slice(1) : [believed];
}

/**
 * X-Forwarded-… by convention, Forwarded by RFC 7239 §4. First drops what an untrusted peer says of
 * itself, and what a trusted one does not write: of all fields in which anyone is trusted to name
 * the client (`trusts`), only this peer's stays.
 */
export function forwardedEdits({ fields }: ClaimsSnapshot, trusts: readonly string[], route: RouteSnapshot, believed: string): Edit[] {
  const telling = [...FORWARDED_NAMES, ...trusts.filter(isName)];
  const written = writtenWith(believed);
  const keeps = believed !== '' && route.forwardedTrusted !== 'overwrite';
  const dropped = keeps ? telling.filter((name) => !written.includes(name)) : [...telling, ...fields];
  const edits: Edit[] = [...new Set(dropped)].map((name) => edit('remove', name, ''));
  if (keeps && route.forwardedTrusted === 'keep') return edits;
  const op = keeps ? 'append' : 'set';
  if (route.forwarded === 'x-forwarded' || route.forwarded === 'both') {
    edits.push(edit(op, 'x-forwarded-for', '${client_address}'), edit(op, 'x-forwarded-proto', '${scheme}'));
    edits.push(edit(op, 'x-forwarded-host', '${authority}'));
  }
  if (route.forwarded === 'forwarded' || route.forwarded === 'both') {
    edits.push(edit(op, 'forwarded', 'for=${forwarded_node};host="${authority}";proto=${scheme}'));
  }
  return edits;
}

/** `Via` of RFC 9110 §7.6.3: the HTTP version of the message, and the edge's name. */
function viaEdits({ via }: RouteSnapshot, version: string): Edit[] {
  return via === '' || version === '' ? [] : [edit('append', 'via', `${version} ${via}`)];
}

/**
 * The time left for the exchange, in the field of the client's deadline. Without a limit the value
 * is empty and no field is written.
 */
function deadlineEdits({ deadlineHeader, isGrpcTimeoutObeyed }: RouteSnapshot): Edit[] {
  return [
    ...(deadlineHeader === '' ? [] : [edit('set', deadlineHeader, '${remaining_ms}')]),
    ...(isGrpcTimeoutObeyed ? [edit('set', 'grpc-timeout', '${remaining_grpc}')] : []),
  ];
}

function authorityEdits({ hostPolicy, host }: RouteSnapshot, backend: string): Edit[] {
  return hostPolicy === 'keep' ? [] : [edit('set', ':authority', hostPolicy === 'set' ? host : backend)];
}

/**
 * Patterns are replaced by the lane, which passes the path as a value; an empty value leaves it as
 * it is.
 */
function pathEdits({ path }: RouteSnapshot): Edit[] {
  if (path.kind === 'prefix') return [{ op: 'prefix', name: ':path', value: path.replacement, match: path.prefix }];
  return path.kind === 'regex' ? [edit('set', ':path', '${value_0}')] : [];
}

/** The route's own edits, with values known in advance expanded. */
export function operatorEdits(route: RouteSnapshot, edits: readonly EditSnapshot[], upstream: string, backend: string): Edit[] {
  const known: Readonly<Record<string, string>> = { route: route.name, upstream, backend };
  return edits.map(({ op, name, value }) =>
    edit(
      op,
      name,
      value.replace(/\$\{(route|upstream|backend)\}/g, (_, key: string) => known[key]!),
    ),
  );
}

export function edit(op: Edit['op'], name: string, value: string): Edit {
  return { op, name, value, match: '' };
}
