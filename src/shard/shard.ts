/**
 * The worker thread: one shard, from attaching its reactor until told to go. It puts the lane on
 * the reactor, hands both what is published, and obeys the main thread's orders in between turns.
 * The reactor is not this thread's: when the thread dies, a successor runs this same file and goes
 * on with the connections that are open.
 */
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { threadId } from 'node:worker_threads';
import type { Steps } from '../base/steps.ts';
import { backendsOf } from '../config/numbering/in-use.ts';
import { type LaneSnapshot, RouteTable } from '../config/route-table.ts';
import type { ListenerSnapshot } from '../config/snapshot/listener.ts';
import { createLane, type Lane, type Prepared } from '../lane/lane.ts';
import { certificateFields } from '../lane/plan/table.ts';
import type { BindingAddon } from '../native/binding.ts';
import { toBindingBackend, toBindingListener } from '../native/convert.ts';
import { loadAddon } from '../native/load.ts';
import { unpackPlans } from '../native/plans.ts';
import { createLaneObserver } from '../observe/lane-observer.ts';
import { createFaults } from './faults.ts';
import type { Publication, ShardOrder, ShardReport, ShardStart, ShardTerms } from './port.ts';

/** How long a successor waits for the thread before it to let go of the reactor. */
const ATTACH_TIMEOUT_MS = 5_000;
const ATTACH_RETRY_MS = 2;

/** How long the shard stands still at a time while a configuration is made ready. */
const STEP_MS = 2;

/**
 * A snapshot that was replaced is kept so long at least: records of exchanges that have ended may
 * be on their way.
 */
const REST_MS = 1_000;

/** The task of one worker's life, as piscina calls it. */
export default function runShard(start: ShardStart): Promise<void> {
  return serveShard(start, loadAddon());
}

/** Serves one shard. Resolves when told to stop; every other end is a death. */
export async function serveShard(start: ShardStart, addon: BindingAddon): Promise<void> {
  const { shard, port, shared } = start;
  let snapshot = snapshotOf(start);
  let { places, isLaneTold } = start;
  const faults = start.areFaultsAllowed ? createFaults(addon) : undefined;
  const observer = createLaneObserver({
    ...start,
    snapshot,
    onLaneError: (error) => report({ kind: 'lane-error', error: textOf(error) }),
    onEvent: (event) => report({ kind: 'event', event }),
  });
  let lane: Lane | undefined;
  let published = -1;
  let { backendsDigest } = start;
  /** What the reactor knows of backends. */
  let known = '';
  let isOver = false;
  const kick = (): void => {
    if (!isOver) addon.reactorKick(shard);
  };

  const ring = await attach(addon, shard, () => {
    faults?.strikeInDecide();
    lane?.decide();
  });
  try {
    for (const plans of unpackPlans(start.plans)) addon.reactorLearnPlans(shard, plans);
    lane = createLane({ ring, snapshot, shared, observer, shard, kick, tables: start.tables });
    // The reactor must know a backend before the lane can send anyone there, and calls the lane in
    // a later turn at the earliest.
    publish(lane, start.publication);
    listen();
    const obeyed = obey(lane);
    report({ kind: 'ready', threadId });
    await obeyed;
    // The lane counts what is cut when it is closed.
    addon.reactorClose(shard);
  } finally {
    isOver = true;
    lane?.close();
    addon.reactorDetach(shard);
    await observer.close();
    port.close();
  }

  /**
   * What takes long is done in steps, between which the shard has its turns and decides as before.
   */
  async function apply(to: Lane, terms: ShardTerms): Promise<void> {
    const next = snapshotOf(terms);
    const work = makeReady(to, next, terms);
    let longestMs = 0;
    let prepared: Prepared | undefined;
    while (prepared === undefined) {
      const beganMs = performance.now();
      prepared = workFor(STEP_MS, work);
      longestMs = Math.max(longestMs, performance.now() - beganMs);
      await nextTurn();
      if (isOver) return;
    }
    const beganMs = performance.now();
    change(to, next, terms, prepared);
    observer.applied(Math.max(longestMs, performance.now() - beganMs));
    report({ kind: 'applied', serial: terms.serial });
  }

  /**
   * Nothing is decided by these plans yet: their numbers are new, or nobody has had them for long.
   */
  function* makeReady(to: Lane, next: LaneSnapshot, { plans, shared, tables }: ShardTerms): Steps<Prepared> {
    for (const part of unpackPlans(plans)) {
      addon.reactorLearnPlans(shard, part);
      yield;
    }
    const beside = observer.beside(next);
    yield;
    return yield* to.prepare(next, shared, beside, tables);
  }

  /** Lane and reactor change within one call, so nothing is decided in between. */
  function change(to: Lane, next: LaneSnapshot, terms: ShardTerms, prepared: Prepared): void {
    // Each has tables of some MiB where there are many routes.
    to.forget(Math.max(REST_MS, addon.reactorOldestExchange(shard)));
    snapshot = next;
    ({ backendsDigest, places, isLaneTold } = terms);
    to.take(prepared);
    published = -1;
    publish(to, terms.publication);
    listen();
  }

  function listen(): void {
    const { listeners, drain, limits } = snapshot;
    addon.reactorLimit(shard, limits.maxExchanges, limits.statelessReplies);
    const wanted = places.map((place) => toBindingListener(listeners[place.listener] as ListenerSnapshot, place));
    addon.reactorListen(shard, wanted, drain.timeoutMs);
  }

  function publish(to: Lane, { number, addresses }: Publication): void {
    if (number <= published) return;
    published = number;
    const backends = backendsOf(snapshot);
    const telling = { reservedFields: certificateFields(snapshot), isLaneTold, isLogged: snapshot.log.areCertificatesLogged };
    // Most reloads change routes only, and a thousand backends take long to hand over.
    const told = `${backendsDigest} ${JSON.stringify([addresses, telling])}`;
    if (told !== known) {
      const list = backends.map((backend) => toBindingBackend(backend, addresses[backend.slot] ?? []));
      addon.reactorApply(shard, { generation: number, backends: list, ...telling });
    }
    known = told;
    for (const { slot } of backends) to.setAddresses(slot, addresses[slot]?.length ?? 0);
  }

  /**
   * Resolves with the order to stop. An order that throws ends the worker: nobody could say in
   * which state it left the shard.
   */
  function obey(to: Lane): Promise<void> {
    /** Orders about what is in force, while something else is about to be: they come after it. */
    const waiting: ShardOrder[] = [];
    let isTaking = false;
    const take = async (terms: ShardTerms): Promise<void> => {
      isTaking = true;
      await apply(to, terms);
      isTaking = false;
      while (!isTaking && waiting.length > 0) follow(waiting.shift() as ShardOrder);
    };
    const { promise, resolve } = Promise.withResolvers<void>();
    const follow = (order: ShardOrder): unknown => {
      switch (order.kind) {
        case 'publish':
          return publish(to, order.publication);
        case 'apply':
          // Nobody catches it outside of the promise.
          return void take(order.terms).catch((error: unknown) => process.nextTick(() => rethrow(error)));
        case 'listen':
          ({ places } = order);
          return listen();
        case 'drain':
          return addon.reactorDrain(shard);
        case 'ping':
          return report({ kind: 'pong' });
        case 'connections':
          return answer(order.question, () => addon.reactorConnections(shard, order.limit));
        case 'sessions':
          return answer(order.question, () => addon.reactorSessions(shard));
        case 'oldest':
          return answer(order.question, () => String(addon.reactorOldestExchange(shard)));
        case 'fault':
          return faults?.order(order.fault, order.at);
        case 'stop':
          return resolve();
      }
    };
    port.on('message', (order: ShardOrder) => {
      if (isTaking && (order.kind === 'publish' || order.kind === 'apply' || order.kind === 'listen')) waiting.push(order);
      else follow(order);
    });
    return promise;
  }

  /** A view that cannot be made is no reason to die. */
  function answer(question: number, view: () => string): void {
    try {
      report({ kind: 'answer', question, json: view() });
    } catch (error) {
      report({ kind: 'refusal', question, message: textOf(error) });
    }
  }

  function report(message: ShardReport): void {
    port.postMessage(message);
  }
}

function snapshotOf({ snapshot, routes }: ShardTerms): LaneSnapshot {
  return { ...snapshot, routes: new RouteTable(routes) };
}

/**
 * A dead thread lets go of its reactor at the very end of its teardown, which may be after its
 * successor has begun.
 */
async function attach(addon: BindingAddon, shard: number, decide: () => void): Promise<ArrayBuffer> {
  const untilMs = performance.now() + ATTACH_TIMEOUT_MS;
  for (;;) {
    try {
      return addon.reactorAttach(shard, decide);
    } catch (error) {
      if (performance.now() > untilMs) throw error;
      await sleep(ATTACH_RETRY_MS);
    }
  }
}

/**
 * Goes on with `work` for so long, and at least one step; gives what comes of it when it is done.
 */
function workFor<T>(ms: number, work: Steps<T>): T | undefined {
  const untilMs = performance.now() + ms;
  do {
    const { done, value } = work.next();
    if (done === true) return value;
  } while (performance.now() < untilMs);
  return undefined;
}

/** Ends the thread. */
function rethrow(error: unknown): never {
  throw error;
}

function textOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
