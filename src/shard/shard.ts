/**
 * The worker thread: one shard, from attaching its reactor until told to go. It puts the lane on the reactor, hands both what is published, and
 * obeys the main thread's orders in between turns. The reactor is not this thread's: when the thread dies, a successor runs this
 * same file and goes on with the connections that are open.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { threadId } from 'node:worker_threads';
import { backendsOf } from '../config/numbering/in-use.ts';
import { type LaneSnapshot, RouteTable } from '../config/route-table.ts';
import type { ListenerSnapshot } from '../config/snapshot/listener.ts';
import { createLane, type Lane } from '../lane/lane.ts';
import { certificateFields } from '../lane/plan/table.ts';
import type { BindingAddon } from '../native/binding.ts';
import { toBindingBackend, toBindingListener, toBindingPlans } from '../native/convert.ts';
import { loadAddon } from '../native/load.ts';
import { createLaneObserver } from '../observe/lane-observer.ts';
import { createFaults } from './faults.ts';
import type { Publication, ShardOrder, ShardReport, ShardStart, ShardTerms } from './port.ts';

/** How long a successor waits for the thread before it to let go of the reactor. */
const ATTACH_TIMEOUT_MS = 5_000;
const ATTACH_RETRY_MS = 2;

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
    addon.reactorLearnPlans(shard, toBindingPlans(start.tables.plans.numbered));
    lane = createLane({ ring, snapshot, shared, observer, shard, kick, tables: start.tables });
    // The reactor must know a backend before the lane can send anyone there, and calls the lane in a later turn at the earliest.
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

  /** Lane and reactor change within one call, so nothing is decided in between. */
  function apply(to: Lane, terms: ShardTerms): void {
    const beganMs = performance.now();
    snapshot = snapshotOf(terms);
    ({ backendsDigest, places, isLaneTold } = terms);
    addon.reactorLearnPlans(shard, toBindingPlans(terms.tables.plans.numbered));
    to.apply(snapshot, terms.shared, observer.beside(snapshot), terms.tables);
    published = -1;
    publish(to, terms.publication);
    listen();
    observer.applied(performance.now() - beganMs);
    report({ kind: 'applied', serial: terms.serial });
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

  /** Resolves with the order to stop. An order that throws ends the worker: nobody could say in which state it left the shard. */
  function obey(to: Lane): Promise<void> {
    return new Promise((resolve) => {
      port.on('message', (order: ShardOrder) => {
        switch (order.kind) {
          case 'publish':
            return publish(to, order.publication);
          case 'apply':
            return apply(to, order.terms);
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
      });
    });
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

/** A dead thread lets go of its reactor at the very end of its teardown, which may be after its successor has begun. */
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

function textOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
