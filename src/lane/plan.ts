/**
 * Head edits compiled from routes: what the reactor does to request heads on their way to a backend and to response heads on their way back.
 * Decisions name a plan by number; routes that say the same share one, so ten thousand routes usually need two or three.
 *
 * Edits are applied in order, and what a later one undoes is not done: what the edge writes of itself comes first, so that an operator has the last word on every field but the
 * sticky cookie, without which nothing would stick. Variables are the client's, whatever the edits before them did; those that are known beforehand are written out here.
 */

import { usualAuthority } from '../base/authority.ts';
import { clientFieldsOf } from '../config/numbering.ts';
import type { BackendSnapshot, ClaimsSnapshot, EditSnapshot, RouteSnapshot, Snapshot, TargetSnapshot } from '../config/snapshot.ts';
import { FALLBACK_FIELD } from './answer/fixed-answer.ts';
import { slotsOf } from './balance/subset.ts';

/** One edit, as the native border knows it (`BindingEdit`). */
export interface Edit {
  op: 'set' | 'add' | 'append' | 'remove' | 'remove-regex' | 'prefix';
  name: string;
  value: string;
  /** Only for `prefix`. */
  match: string;
}

export interface Plan {
  request: Edit[];
  response: Edit[];
  holdStatuses: number[];
  holdGrpcStatuses: number[];
  isPathCanonical: boolean;
  /** Of a request's trailers, about which nobody asks the lane. */
  underscores: ClaimsSnapshot['underscores'];
  underscoreNames: string[];
}

/** Every plan of a snapshot, and which one each route uses. */
export interface Plans {
  readonly plans: Plan[];
  readonly ofRoute: readonly RoutePlans[];
}

/** The plans of one route. */
export class RoutePlans {
  /**
   * By target, then by the peer's trust and whether names with an underscore are dropped (`setOf`),
   * then by position; one entry where all positions share a plan.
   */
  private readonly plans: readonly (readonly (readonly number[])[])[];

  /** Plan whose response edits apply to the route's own answers. */
  readonly answerPlan: number;

  constructor(plans: readonly (readonly (readonly number[])[])[], answerPlan: number) {
    this.plans = plans;
    this.answerPlan = answerPlan;
  }

  /** Plan towards the backend at `position` of the pool of target number `target`. */
  of(target: number, position: number, trust: number, areUnderscoresDropped = false): number {
    const plans = this.plans[target]![setOf(trust, areUnderscoresDropped)]!;
    return plans.length === 1 ? plans[0]! : (plans[position] ?? EDGE_PLAN);
  }
}

/** Place of a target's plans for peers of this trust (`Client.trust`). */
function setOf(trust: number, areUnderscoresDropped: boolean): number {
  return trust * 2 + (areUnderscoresDropped ? 1 : 0);
}

/** Lends its edits to answers that belong to no route. */
export const EDGE_PLAN = 0;

/** What a route's plan towards one backend depends on. */
interface Aim {
  /** The field in which the peer is believed to tell the client; empty where it is not trusted. */
  readonly believed: string;
  readonly isFallback: boolean;
  readonly isCookieSet: boolean;
  readonly areUnderscoresDropped: boolean;
  /** `host:port`; the same for all backends where nothing asks for it. */
  readonly backend: string;
  /** Of the backend; empty where nothing asks for it. */
  readonly scheme: BackendSnapshot['scheme'] | '';
  readonly upstream: string;
}

/**
 * The version in which backends answer. With `https` each connection agrees on its own, so nothing
 * is said, which a gateway may (RFC 9110 §7.6.3).
 */
const VIA_VERSIONS = { h2c: '2', http: '1.1', https: '', '': '' } as const;

const REQUEST_ID = edit('set', 'x-request-id', '${request_id}');

/** What a proxy before us may have written, and a client may pretend. */
const FORWARDED_NAMES = ['forwarded', 'x-forwarded-for', 'x-forwarded-proto', 'x-forwarded-host', 'x-forwarded-port'];

/**
 * Numbers of plans over several snapshots, the latest of which may all still decide: what the
 * reactor is given is the plans of all of them. A plan keeps its number while any of them has it.
 */
export class PlanBook {
  /** By number; what none has any more is there until its number is given again. */
  readonly plans: Plan[] = [];
  private readonly numbers = new Map<string, number>();
  private readonly keys: string[] = [];
  /** Numbers by snapshot, the latest last. */
  private readonly pages: Set<number>[] = [];
  private readonly maxPages: number;
  private free: number[] = [];

  constructor(maxPages = 1) {
    this.maxPages = maxPages;
  }

  /** A snapshot follows; the one so many before it decides no more. */
  turn(): void {
    this.pages.push(new Set([EDGE_PLAN]));
    if (this.pages.length <= this.maxPages) return;
    this.pages.shift();
    const used = new Set(this.pages.flatMap((page) => [...page]));
    for (let number = 0; number < this.plans.length; number++) if (!used.has(number)) this.forget(number);
  }

  /** The number of `plan`, for the snapshot of the last `turn`. */
  number(plan: Plan): number {
    const key = JSON.stringify(plan);
    const number = this.numbers.get(key) ?? this.add(plan, key);
    this.pages.at(-1)!.add(number);
    return number;
  }

  private add(plan: Plan, key: string): number {
    const number = this.free.pop() ?? this.plans.length;
    this.plans[number] = plan;
    this.keys[number] = key;
    this.numbers.set(key, number);
    return number;
  }

  private forget(number: number): void {
    const key = this.keys[number]!;
    if (this.numbers.get(key) !== number) return;
    this.numbers.delete(key);
    this.free.push(number);
  }
}

/** Fields in which backends are told of client certificates on some listener, each once: no client may send them. */
export function certificateFields({ listeners }: Pick<Snapshot, 'listeners'>): string[] {
  return [...new Set(listeners.flatMap(({ clientAuth }) => clientAuth.flatMap(({ forward }) => forward.map(({ name }) => name))))];
}

/** Compiles the plans of `snapshot`; a new book gives the same numbers on every thread. */
export function compilePlans(snapshot: Snapshot, book: PlanBook = new PlanBook()): Plans {
  book.turn();
  const number = (plan: Plan): number => book.number(plan);
  const known = new Map<string, RoutePlans>();
  const routePlans = (ofTargets: number[][][], answer: number): RoutePlans => {
    const key = JSON.stringify([ofTargets, answer]);
    const plans = known.get(key) ?? new RoutePlans(ofTargets, answer);
    known.set(key, plans);
    return plans;
  };
  // In the order of `Client.trust`.
  const trusts = ['', ...clientFieldsOf(snapshot)];
  const untold = [...new Set([...FORWARDED_NAMES, ...trusts.filter(isName), ...snapshot.claims.fields])].map((name) =>
    edit('remove', name, ''),
  );
  number(answerPlan(untold, []));
  const told = certificateFields(snapshot).map((name) => edit('set', name, `\${client_certificate:${name}}`));
  const drops = snapshot.claims.underscores === 'drop' ? [false, true] : [false, false];
  const ofRoute = snapshot.routes.map((route) => {
    const plansOf = (target: TargetSnapshot, isFallback: boolean): number[][] => {
      const aims = aimsOf(snapshot, route, target, isFallback);
      return trusts.flatMap((believed) =>
        drops.map((areUnderscoresDropped) =>
          aims.map((aim) => number(routePlan(snapshot.claims, trusts, told, route, { ...aim, believed, areUnderscoresDropped }))),
        ),
      );
    };
    const ofTargets = route.targets.map((target) => plansOf(target, false));
    if (route.fallback.kind === 'upstream') ofTargets.push(plansOf(route.fallback.target, true));
    return routePlans(ofTargets, number(answerPlan(untold, operatorEdits(route, route.responseEdits, '', ''))));
  });
  return { plans: book.plans, ofRoute };
}

/** One a backend where the plan tells of it, else a single one. */
function aimsOf(snapshot: Snapshot, route: RouteSnapshot, target: TargetSnapshot, isFallback: boolean): Aim[] {
  const upstream = snapshot.upstreams[target.upstream];
  const common = {
    believed: '',
    areUnderscoresDropped: false,
    isFallback,
    isCookieSet: upstream?.balance.sticky?.kind === 'cookie',
    upstream: upstream?.name ?? '',
  };
  const isBackendTold = tellsBackend(route);
  if (!isBackendTold && route.via === '') return [{ ...common, backend: '', scheme: '' }];
  const aims = slotsOf(snapshot, target).map((slot) => ({
    ...common,
    backend: isBackendTold ? usualAuthority(snapshot.backends[slot]!) : '',
    scheme: route.via === '' ? ('' as const) : snapshot.backends[slot]!.scheme,
  }));
  const isOneForAll = !isBackendTold && new Set(aims.map(({ scheme }) => scheme)).size === 1;
  return isOneForAll ? aims.slice(0, 1) : aims;
}

function tellsBackend({ hostPolicy, requestEdits, responseEdits }: RouteSnapshot): boolean {
  if (hostPolicy === 'backend') return true;
  return [...requestEdits, ...responseEdits].some(({ value }) => value.includes('${backend}'));
}

function routePlan(claims: ClaimsSnapshot, trusts: readonly string[], told: readonly Edit[], route: RouteSnapshot, aim: Aim): Plan {
  const { on } = route.retries;
  const { statuses, grpcStatuses } = route.fallbackOn;
  const { upstream, backend } = aim;
  return {
    request: [
      ...(aim.areUnderscoresDropped ? [edit('remove', '*_*', claims.underscoreNames.join(','))] : []),
      ...forwardedEdits(claims, trusts, route, aim.believed),
      ...told,
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

function isName(field: string): boolean {
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
function answerPlan(untold: Edit[], edits: Edit[]): Plan {
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
function forwardedEdits({ fields }: ClaimsSnapshot, trusts: readonly string[], route: RouteSnapshot, believed: string): Edit[] {
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

/** `Via` of RFC 9110 §7.6.3: the version in which the message came, and what the edge calls itself. */
function viaEdits({ via }: RouteSnapshot, version: string): Edit[] {
  return via === '' || version === '' ? [] : [edit('append', 'via', `${version} ${via}`)];
}

/** What is left of the exchange's time, in the field the client may have told its own in. Without any limit the value is empty and no field is written. */
function deadlineEdits({ deadlineHeader, isGrpcTimeoutObeyed }: RouteSnapshot): Edit[] {
  return [
    ...(deadlineHeader === '' ? [] : [edit('set', deadlineHeader, '${remaining_ms}')]),
    ...(isGrpcTimeoutObeyed ? [edit('set', 'grpc-timeout', '${remaining_grpc}')] : []),
  ];
}

function authorityEdits({ hostPolicy, host }: RouteSnapshot, backend: string): Edit[] {
  return hostPolicy === 'keep' ? [] : [edit('set', ':authority', hostPolicy === 'set' ? host : backend)];
}

/** A pattern is replaced by the lane, which brings the path as a value; an empty one leaves the path as it is. */
function pathEdits({ path }: RouteSnapshot): Edit[] {
  if (path.kind === 'prefix') return [{ op: 'prefix', name: ':path', value: path.replacement, match: path.prefix }];
  return path.kind === 'regex' ? [edit('set', ':path', '${value_0}')] : [];
}

/** Edits of the route's own, with what is known of it beforehand written out. */
function operatorEdits(route: RouteSnapshot, edits: readonly EditSnapshot[], upstream: string, backend: string): Edit[] {
  const known: Readonly<Record<string, string>> = { route: route.name, upstream, backend };
  return edits.map(({ op, name, value }) =>
    edit(
      op,
      name,
      value.replace(/\$\{(route|upstream|backend)\}/g, (_, key: string) => known[key]!),
    ),
  );
}

function edit(op: Edit['op'], name: string, value: string): Edit {
  return { op, name, value, match: '' };
}
