/**
 * Which route takes a request, why, and what would become of it. The route is found by the router
 * that lanes use and the path by the edits they use; nothing here knows a rule of its own.
 */

import { reasonByNumber } from '../../base/errors.ts';
import type { RouteSnapshot } from '../../config/snapshot/route.ts';
import type { Snapshot } from '../../config/snapshot/snapshot.ts';
import { OwnAnswer } from '../../lane/answer/own-answer.ts';
import { slotsOf } from '../../lane/balance/subset.ts';
import { Client } from '../../lane/head/client.ts';
import { Lookups } from '../../lane/head/lookups.ts';
import { compilePathEdit } from '../../lane/head/path-edit.ts';
import type { Edit } from '../../lane/plan/plan.ts';
import { compilePlans } from '../../lane/plan/table.ts';
import { NO_ROUTE, Router } from '../../lane/route/router.ts';
import { MEMORY_BYTES } from '../../record/layout.ts';
import { addressText, type HeadReader } from '../../record/read.ts';
import { RecordMemory } from '../../record/ring.ts';
import { type AskedRequest, readAsked } from './request.ts';
import { fallbackText } from './wording.ts';

/** What is told of a request; plain data, printed as text or JSON. */
export interface RouteTest {
  readonly request: AskedRequest;
  /** Why the request is refused before it is matched; empty when it is not. */
  readonly complaint: string;
  readonly client: string;
  readonly isPeerTrusted: boolean;
  /** Empty for none. */
  readonly tenant: string;
  readonly passedOver: readonly { readonly route: string; readonly failed: string }[];
  /** Null when no route takes it. */
  readonly route: RouteSnapshot | null;
  readonly outcome: Outcome;
}

export type Outcome =
  | { readonly kind: 'refused'; readonly status: number; readonly code: string }
  | {
      readonly kind: 'answered';
      readonly status: number;
      readonly code: string;
      readonly fields: readonly (readonly [string, string])[];
      readonly body: string;
    }
  | {
      readonly kind: 'forwarded';
      readonly targets: readonly TargetView[] /** In words; null for none. */;
      readonly fallback: string | null;
    };

/** One upstream the request may go to. */
export interface TargetView {
  readonly upstream: string;
  /** Share of the requests in percent. */
  readonly share: number;
  readonly subset: Readonly<Record<string, string>>;
  readonly policy: string;
  readonly backends: number;
  /** As the backend sees it. */
  readonly authority: string;
  readonly path: string;
  readonly requestEdits: readonly Edit[];
  readonly responseEdits: readonly Edit[];
}

/** Explains `request`, which is canonical unless there is a `complaint`. */
export function explainRequest(snapshot: Snapshot, request: AskedRequest, complaint: string): RouteTest {
  const memory = new RecordMemory(new ArrayBuffer(MEMORY_BYTES));
  const head = readAsked(request, memory);
  const lookups = new Lookups(memory.bytes);
  const client = new Client(snapshot.listeners, lookups);
  client.read(head);
  const told = { request, complaint, client: addressText(client.address, 0, client.family), isPeerTrusted: client.isPeerTrusted };
  if (complaint !== '') return { ...told, tenant: '', passedOver: [], route: null, outcome: refused('path_not_canonical', 400) };
  const router = new Router(snapshot, lookups);
  const { tenant, passedOver, route: number } = router.explain(head, client);
  const route = number === NO_ROUTE ? null : snapshot.routes[number]!;
  return {
    ...told,
    tenant: snapshot.tenants[tenant]?.name ?? '',
    passedOver: passedOver.map((one) => ({ route: snapshot.routes[one.route]!.name, failed: one.failed })),
    route,
    outcome: route === null ? refused('route_not_found', 404) : outcomeOf(snapshot, route, number, head, request, client.trust),
  };
}

function refused(code: string, status: number): Outcome {
  return { kind: 'refused', status, code };
}

function outcomeOf(
  snapshot: Snapshot,
  route: RouteSnapshot,
  number: number,
  head: HeadReader,
  request: AskedRequest,
  trust: number,
): Outcome {
  const own = OwnAnswer.of(route);
  if (own !== undefined) {
    const { status, fields, body } = own.answer(head, false);
    return { kind: 'answered', status, code: reasonByNumber(own.reason).code, fields, body };
  }
  const { plans, ofRoute } = compilePlans(snapshot);
  const whole = route.targets.reduce((sum, { weight }) => sum + weight, 0);
  const targets = route.targets.map((target, place) => {
    const upstream = snapshot.upstreams[target.upstream]!;
    const plan = plans[ofRoute[number]!.of(place, 0, trust, dropsUnderscores(snapshot, request))]!;
    const written = (edits: readonly Edit[]) => edits.map((edit) => ({ ...edit, value: fillIn(edit.value, request) }));
    return {
      upstream: upstream.name,
      share: whole === 0 ? 0 : (target.weight / whole) * 100,
      subset: target.subset,
      policy: upstream.balance.policy,
      backends: slotsOf(snapshot, target).length,
      authority: plan.request.findLast(({ name }) => name === ':authority')?.value ?? request.authority,
      path: compilePathEdit(route.path)?.apply(request.path) ?? request.path,
      requestEdits: written(plan.request.filter(({ name }) => !name.startsWith(':'))),
      responseEdits: written(plan.response),
    };
  });
  return { kind: 'forwarded', targets, fallback: fallbackText(route, snapshot.upstreams) ?? null };
}

/** Whether a field of the request has a name with an underscore that is dropped. */
function dropsUnderscores({ claims }: Snapshot, { fields }: AskedRequest): boolean {
  return claims.underscores === 'drop' && fields.some(([name]) => name.includes('_') && !claims.underscoreNames.includes(name));
}

/** Variables whose values follow from the request alone; the others stay as they are. */
function fillIn(value: string, request: AskedRequest): string {
  const node = request.peer.includes(':') ? `"[${request.peer}]"` : request.peer;
  const known: Readonly<Record<string, string>> = {
    client_address: request.peer,
    forwarded_node: node,
    scheme: 'https',
    authority: request.authority,
    path: request.path,
    method: request.method,
  };
  return value.replace(/\$\{([^}]+)\}/g, (variable, name: string) => {
    const field = name.startsWith('header:') ? name.slice('header:'.length) : undefined;
    if (field === undefined) return known[name] ?? variable;
    const lines = request.fields.filter(([line]) => line === field);
    return lines.map(([, text]) => text).join(', ');
  });
}
