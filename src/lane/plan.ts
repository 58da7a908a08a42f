/**
 * Head edits compiled from routes: what the reactor does to request heads on their way to a backend and to response heads on their way back.
 * Decisions name a plan by number; routes that say the same share one, so ten thousand routes usually need two or three.
 *
 * Edits are applied in order, and what a later one undoes is not done: what the edge writes of itself comes first, so that an operator has the last word on every field but the
 * sticky cookie, without which nothing would stick. Variables are the client's, whatever the edits before them did; those that are known beforehand are written out here.
 */

import { usualAuthority } from '../base/authority.ts';
import { clientFieldsOf } from '../config/numbering/in-use.ts';
import type { LaneSnapshot } from '../config/route-table.ts';
import type { ClaimsSnapshot } from '../config/snapshot/process.ts';
import type { EditSnapshot, RouteSnapshot, TargetSnapshot } from '../config/snapshot/route.ts';
import type { BackendSnapshot } from '../config/snapshot/upstream.ts';
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

/** Which plans a route uses: as `RoutePlans` has them, plain. */
export interface PlanSet {
  readonly plans: readonly (readonly (readonly number[])[])[];
  readonly answerPlan: number;
}

/** A plan with its number. */
export interface NumberedPlan {
  readonly number: number;
  readonly plan: Plan;
}

/** What shards are told of the plans of a snapshot, which are compiled once for all of them. */
export interface PlanTable {
  /**
   * Those that the reactor must know before a decision names them, beside those it knows already.
   */
  readonly numbered: readonly NumberedPlan[];
  readonly sets: readonly PlanSet[];
  /** By route, a place in `sets`; in shared memory. */
  readonly ofRoute: Uint32Array;
}

/** The plans of one route. */
export class RoutePlans {
  /**
   * By target, then by the peer's trust and whether names with an underscore are dropped (`setOf`),
   * then by position; one entry where all positions share a plan.
   */
  readonly plans: PlanSet['plans'];

  /** Plan whose response edits apply to the route's own answers. */
  readonly answerPlan: number;

  constructor({ plans, answerPlan }: PlanSet) {
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
  readonly isFallback: boolean;
  readonly isCookieSet: boolean;
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

/** Lists of edits that are known by what they say. */
const MAX_LISTS = 1_024;
const NO_EDITS: readonly Edit[] = [];

/**
 * Numbers of plans over several snapshots, the latest of which may all still decide: what the
 * reactor is given is the plans of all of them. A plan keeps its number while any of them has it.
 */
export class PlanBook {
  /** By number; what none has any more is there until its number is given again. */
  readonly plans: Plan[] = [];
  /** Numbers that were given since `takeFresh`. */
  private fresh: number[] = [];
  private readonly numbers = new Map<string, number>();
  private readonly keys: string[] = [];
  /** Numbers by snapshot, the latest last. */
  private readonly pages: Set<number>[] = [];
  private readonly maxPages: number;
  /** Lists of edits by what they say, and by the object. */
  private readonly ids = new Map<string, number>();
  private readonly idsOf = new WeakMap<readonly Edit[], number>();
  private nextId = 0;
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

  /** What is new, or another, since this was asked last. */
  takeFresh(): NumberedPlan[] {
    const { plans, fresh } = this;
    this.fresh = [];
    return fresh.map((number) => ({ number, plan: plans[number]! }));
  }

  /** All of them. */
  all(): NumberedPlan[] {
    return this.plans.map((plan, number) => ({ number, plan }));
  }

  /**
   * The number of `plan`, for the snapshot of the last `turn`. `common` are edits in its request
   * that many plans have.
   */
  number(plan: Plan, common: readonly Edit[] = NO_EDITS): number {
    const key = this.keyOf(plan, common);
    const number = this.numbers.get(key) ?? this.add(plan, key);
    this.pages.at(-1)!.add(number);
    return number;
  }

  /** What a plan says. */
  private keyOf({ request, ...rest }: Plan, common: readonly Edit[]): string {
    const at = common.length === 0 ? 0 : request.indexOf(common[0]!);
    const own = [request.slice(0, at), request.slice(at + common.length)];
    return `${this.idOf(common)} ${JSON.stringify([own, rest])}`;
  }

  /** Of a list of edits that many plans have in them. */
  private idOf(common: readonly Edit[]): number {
    const known = this.idsOf.get(common);
    if (known !== undefined) return known;
    const text = JSON.stringify(common);
    let id = this.ids.get(text);
    if (id === undefined) {
      // A number is never given to another list, so that keys of plans stay right; those that are
      // forgotten here get new ones.
      if (this.ids.size >= MAX_LISTS) this.ids.clear();
      id = this.nextId++;
      this.ids.set(text, id);
    }
    this.idsOf.set(common, id);
    return id;
  }

  private add(plan: Plan, key: string): number {
    const number = this.free.pop() ?? this.plans.length;
    this.plans[number] = plan;
    this.fresh.push(number);
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

/**
 * Fields in which backends are told of client certificates on some listener, each once: no client
 * may send them.
 */
export function certificateFields({ listeners }: Pick<LaneSnapshot, 'listeners'>): string[] {
  return [...new Set(listeners.flatMap(({ clientAuth }) => clientAuth.flatMap(({ forward }) => forward.map(({ name }) => name))))];
}

/** Compiles the plans of `snapshot`; a new book gives the same numbers on every thread. */
export function compilePlans(snapshot: LaneSnapshot, book: PlanBook = new PlanBook()): Plans {
  book.turn();
  const number = (plan: Plan, common?: readonly Edit[]): number => book.number(plan, common);
  const known = new Map<string, RoutePlans>();
  const routePlans = (ofTargets: number[][][], answer: number): RoutePlans => {
    const key = JSON.stringify([ofTargets, answer]);
    const plans = known.get(key) ?? new RoutePlans({ plans: ofTargets, answerPlan: answer });
    known.set(key, plans);
    return plans;
  };
  // In the order of `Client.trust`.
  const trusts = ['', ...clientFieldsOf(snapshot)];
  const untold = [...new Set([...FORWARDED_NAMES, ...trusts.filter(isName), ...snapshot.claims.fields])].map((name) =>
    edit('remove', name, ''),
  );
  number(answerPlan(untold, []));
  const dropped = snapshot.claims.underscores === 'drop' ? [edit('remove', '*_*', snapshot.claims.underscoreNames.join(','))] : [];
  const drops = [[], dropped];
  const told = certificateFields(snapshot).map((name) => edit('set', name, `\${client_certificate:${name}}`));
  const commons = new Map<string, Edit[]>();
  /** What the edge says of the client, the same for many routes. */
  const commonOf = (route: RouteSnapshot, believed: string): Edit[] => {
    const key = `${route.forwarded} ${route.forwardedTrusted} ${believed}`;
    const edits = commons.get(key) ?? [...forwardedEdits(snapshot.claims, trusts, route, believed), ...told];
    commons.set(key, edits);
    return edits;
  };
  const alike = new Alike(snapshot);
  const madeOf = (route: RouteSnapshot): RoutePlans => {
    const plansOf = (target: TargetSnapshot, isFallback: boolean): number[][] => {
      const aims = aimsOf(snapshot, route, target, isFallback);
      return trusts.flatMap((believed) => {
        const common = commonOf(route, believed);
        return drops.map((dropped) => aims.map((aim) => number(routePlan(snapshot.claims, [...dropped, ...common], route, aim), common)));
      });
    };
    const ofTargets = route.targets.map((target) => plansOf(target, false));
    if (route.fallback.kind === 'upstream') ofTargets.push(plansOf(route.fallback.target, true));
    return routePlans(ofTargets, number(answerPlan(untold, operatorEdits(route, route.responseEdits, '', ''))));
  };
  const made = new Map<string, RoutePlans>();
  const { routes } = snapshot;
  const ofRoute = Array.from({ length: routes.length }, (_, number) => {
    const route = routes.at(number)!;
    const key = alike.key(route);
    const plans = made.get(key) ?? madeOf(route);
    made.set(key, plans);
    return plans;
  });
  return { plans: book.plans, ofRoute };
}

/** The plans of `snapshot` for shards. `numbered` are those that are new in `book`. */
export function tableOfPlans(snapshot: LaneSnapshot, book: PlanBook): PlanTable {
  const { ofRoute } = compilePlans(snapshot, book);
  const places = new Map<RoutePlans, number>();
  const table = new Uint32Array(new SharedArrayBuffer(ofRoute.length * Uint32Array.BYTES_PER_ELEMENT));
  for (const [route, plans] of ofRoute.entries()) {
    const place = places.get(plans) ?? places.size;
    places.set(plans, place);
    table[route] = place;
  }
  const sets = [...places.keys()].map(({ plans, answerPlan }) => ({ plans, answerPlan }));
  return { numbered: book.takeFresh(), sets, ofRoute: table };
}

/**
 * Tells by a short text which routes have the same plans, so that those of ten thousand are not put
 * together to find out: by the parts that they have in common, which are the same objects
 * (`src/config/assemble/once.ts`). Where they are not, only more is put together.
 */
class Alike {
  private readonly snapshot: LaneSnapshot;
  private readonly ids = new Map<object, number>();
  private readonly told = new Map<object, { readonly route: boolean; readonly upstream: boolean }>();

  constructor(snapshot: LaneSnapshot) {
    this.snapshot = snapshot;
  }

  /** Of everything that `routePlan` and `aimsOf` look at. */
  key(route: RouteSnapshot): string {
    const { retries, fallbackOn, fallback, requestEdits, responseEdits, path } = route;
    const [request, response] = [this.tells(requestEdits), this.tells(responseEdits)];
    const isBackendTold = tellsBackend(route) || route.via !== '';
    const isUpstreamTold = request.upstream || response.upstream || isBackendTold;
    let key = `${this.id(retries.on)} ${this.id(fallbackOn)} ${this.id(requestEdits)} ${this.id(responseEdits)} ${route.forwarded} ${route.forwardedTrusted}`;
    key += ` ${JSON.stringify([route.via, route.deadlineHeader, route.host])} ${route.hostPolicy} ${route.isGrpcTimeoutObeyed} ${route.isPathCanonical}`;
    if (path.kind !== 'keep') key += JSON.stringify(path);
    if (request.route || response.route) key += ` ${JSON.stringify(route.name)}`;
    for (const target of route.targets) key += this.aim(target, isUpstreamTold);
    return fallback.kind === 'upstream' ? `${key} or${this.aim(fallback.target, isUpstreamTold)}` : key;
  }

  private aim({ upstream, subset }: TargetSnapshot, isUpstreamTold: boolean): string {
    const isSticky = this.snapshot.upstreams[upstream]?.balance.sticky?.kind === 'cookie';
    return isUpstreamTold ? ` to ${upstream} ${this.id(subset)}` : ` to ${isSticky}`;
  }

  private id(part: object): number {
    let id = this.ids.get(part);
    if (id === undefined) {
      id = this.ids.size;
      this.ids.set(part, id);
    }
    return id;
  }

  private tells(edits: readonly EditSnapshot[]): { readonly route: boolean; readonly upstream: boolean } {
    const known = this.told.get(edits);
    if (known !== undefined) return known;
    const has = (variable: string): boolean => edits.some(({ value }) => value.includes(variable));
    const told = { route: has('${route}'), upstream: has('${upstream}') };
    this.told.set(edits, told);
    return told;
  }
}

/** One a backend where the plan tells of it, else a single one. */
function aimsOf(snapshot: LaneSnapshot, route: RouteSnapshot, target: TargetSnapshot, isFallback: boolean): Aim[] {
  const upstream = snapshot.upstreams[target.upstream];
  const common = {
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

function routePlan(claims: ClaimsSnapshot, common: readonly Edit[], route: RouteSnapshot, aim: Aim): Plan {
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
