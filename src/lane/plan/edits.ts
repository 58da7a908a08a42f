/**
 * The edits of one plan. They are applied in order, and what a later one undoes is not done: what
 * the edge writes of itself comes first, so that an operator has the last word on every field but
 * the sticky cookie, without which nothing would stick. Variables are the client's, whatever the
 * edits before them did; those that are known beforehand are written out here.
 */

import type { ClaimsSnapshot } from '../../config/snapshot/process.ts';
import type { EditSnapshot, RouteSnapshot } from '../../config/snapshot/route.ts';
import { FALLBACK_FIELD } from '../answer/fixed-answer.ts';
import type { Aim } from './aim.ts';
import type { Edit, Plan } from './plan.ts';

/**
 * The version in which backends answer. With `https` each connection agrees on its own, so nothing
 * is said, which a gateway may (RFC 9110 §7.6.3).
 */
const VIA_VERSIONS = { h2c: '2', http: '1.1', https: '', '': '' } as const;

const REQUEST_ID = edit('set', 'x-request-id', '${request_id}');

/** What a proxy before us may have written, and a client may pretend. */
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

/** Both lists as one, ascending, each number once. */
function inOrder(one: readonly number[], other: readonly number[]): number[] {
  return [...new Set([...one, ...other])].sort((a, b) => a - b);
}

/**
 * Of answers of the edge itself. `untold` removes what proxies say of the client from the request
 * that TRACE gets back.
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

/** Fields that only who writes `believed` may send beside it. */
function writtenWith(believed: string): readonly string[] {
  return believed === 'x-forwarded-for' ? FORWARDED_NAMES.slice(1) : [believed];
}

/**
 * X-Forwarded-… by custom, Forwarded by RFC 7239 §4; what a peer that is not trusted says of itself
 * is dropped first, whatever is written, and so is what trusted ones do not write: of all fields in
 * which somebody is trusted to tell the client only the one in which this peer is. `trusts` are
 * these fields.
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

/**
 * `Via` of RFC 9110 §7.6.3: the version in which the message came, and what the edge calls itself.
 */
function viaEdits({ via }: RouteSnapshot, version: string): Edit[] {
  return via === '' || version === '' ? [] : [edit('append', 'via', `${version} ${via}`)];
}

/**
 * What is left of the exchange's time, in the field the client may have told its own in. Without
 * any limit the value is empty and no field is written.
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
 * A pattern is replaced by the lane, which brings the path as a value; an empty one leaves the path
 * as it is.
 */
function pathEdits({ path }: RouteSnapshot): Edit[] {
  if (path.kind === 'prefix') return [{ op: 'prefix', name: ':path', value: path.replacement, match: path.prefix }];
  return path.kind === 'regex' ? [edit('set', ':path', '${value_0}')] : [];
}

/** Edits of the route's own, with what is known of it beforehand written out. */
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
