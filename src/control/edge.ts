/**
 * The edge: composes everything the main thread owns and starts it in the order in which things may depend on each other: sockets, reactors,
 * shards, admin API, and only then readiness. Stopping is the same list read backwards. What a part does stands in its own file.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { forgetLatency } from '../base/tables.ts';
import type { Snapshot } from '../config/snapshot.ts';
import { createSharedState } from '../lane/shared.ts';
import { setHealth, setUpAgain } from '../lane/standing/health.ts';
import type { BindingAddon } from '../native/binding.ts';
import { giveCertificates, toBindingListener } from '../native/convert.ts';
import { createCounters } from '../observe/counters.ts';
import type { Log } from '../observe/log.ts';
import { createRegistry } from '../observe/registry.ts';
import type { EdgeState, EdgeStatus } from './admin/parts.ts';
import { addAdminMetrics, noCounts } from './admin/places.ts';
import { type Admin, createAdmin, createProbes } from './admin/server.ts';
import { createDiscovery } from './discovery/discovery.ts';
import { type DrainResult, drain } from './drain.ts';
import { createEndpoint, type OpenListener } from './endpoint.ts';
import { addEventMetric } from './event-metric.ts';
import { createEvents, type Events } from './events.ts';
import { createHealth } from './health/health.ts';
import { addLimitMetrics } from './limit-metrics.ts';
import { viewAllLimits } from './limit-view.ts';
import { addRestartMetric } from './restart-metric.ts';
import { type BackendRow, type ConnectionRow, viewConnections } from './shard-view.ts';
import { createShards } from './shards.ts';
import { createShortages } from './shortages.ts';
import { addStandingMetrics } from './standing-metrics.ts';
import { viewUpstreams } from './upstream-view.ts';
import { createWeightControl } from './weights.ts';

export interface EdgeParts {
  readonly addon: BindingAddon;
  readonly snapshot: Snapshot;
  readonly log: Log;
}

export interface EdgeOptions {
  /** What `/v1/config` shows; secrets are already replaced. */
  readonly shownConfig: unknown;
  /** Obey orders to hurt workers; tests only. */
  readonly areFaultsAllowed?: boolean;
  /** Another worker file, for tests. */
  readonly workerFile?: string;
}

export interface Edge {
  /** Resolves when traffic is served. When a part fails, those before it are stopped and its error is thrown. */
  start(): Promise<void>;
  status(): EdgeStatus;
  /** What changes in the standing of backends, limits and budgets. */
  readonly events: Pick<Events, 'subscribe'>;
  /** Lets open exchanges end; `stop` is the next step. */
  drain(reason: string): Promise<DrainResult>;
  /** Ends everything that lives, cutting what is open. Safe to call twice. */
  stop(): Promise<void>;
  /** Closes every connection and waits for nothing else, also in the middle of a start, a drain or a stop; the process is to end right after. */
  cut(): Promise<void>;
}

/** How long a worker may take to obey when everything is cut. */
const CUT_PATIENCE_MS = 500;

export function createEdge({ addon, snapshot, log }: EdgeParts, options: EdgeOptions): Edge {
  const startedMs = performance.now();
  const shardNumbers = Array.from({ length: snapshot.shards.count }, (_, shard) => shard);
  const shared = createSharedState(snapshot);
  const counters = shardNumbers.map(() => createCounters(snapshot));
  const registry = createRegistry({ addon, snapshot, counters, backendTable: shared.backends });
  const events = createEvents(snapshot, log.target('events'));
  const endpoint = createEndpoint({ addon, log: log.target('endpoint') });
  const discovery = createDiscovery({
    backends: snapshot.backends,
    onPublish: (publication) => shards.publish(publication),
    log: log.target('discovery'),
  });
  const health = createHealth({
    snapshot,
    addressOf: (slot) => discovery.status(slot).addresses[0],
    publish(slot, state) {
      if (state === 'up') forgetLatency(shared.backends, slot);
      setHealth(shared.standing, slot, state);
    },
    expect: (slot, upAtMs) => setUpAgain(shared.standing, slot, upAtMs),
    onEvent: (event) => events.note(event),
  });
  const shards = createShards(
    { addon, snapshot, shared, counters, log: log.target('shards'), onEvent: (event) => events.note(event) },
    {
      stallTimeoutMs: snapshot.shards.stallTimeoutMs,
      areFaultsAllowed: options.areFaultsAllowed ?? false,
      ...(options.workerFile === undefined ? {} : { filename: options.workerFile }),
    },
  );
  addRestartMetric(registry, shards);
  addEventMetric(registry, events);
  addStandingMetrics(registry, { snapshot, shared, addresses: (slot) => discovery.status(slot).addresses.length });
  addLimitMetrics(registry, { snapshot, shared });
  const shortages = createShortages({ addon, counters, log, nowMs: () => performance.now() }, registry);
  const adminCounts = noCounts();
  addAdminMetrics(registry, adminCounts);
  const admin = adminOf();
  const probes = probesOf();

  let state: EdgeState = 'idle';
  let listeners: readonly OpenListener[] = [];
  let adminAddress = '';
  let probesAddress = '';
  /** How to undo what was started, last first. */
  const undo: (() => void | Promise<void>)[] = [];

  return {
    async start() {
      state = 'starting';
      try {
        await bringUp();
        state = 'serving';
      } catch (error) {
        await takeDown();
        throw error;
      }
    },
    status,
    events,
    drain: (reason) =>
      drain(
        reason,
        {
          begin: () => {
            state = 'draining';
          },
          goAway: () => shards.drain(),
          exchanges: () => shards.exchanges(),
          connections: () => shards.connections(),
          log: log.target('drain'),
          nowMs: () => performance.now(),
          sleep,
        },
        snapshot.drain,
      ),
    stop: takeDown,
    async cut() {
      state = 'stopping';
      await shards.stop(CUT_PATIENCE_MS);
      // A worker that did not obey was ended; its reactor closes its connections here.
      for (const shard of shardNumbers) {
        try {
          addon.reactorDestroy(shard);
        } catch {
          // Not made yet, or gone already.
        }
      }
    },
  };

  async function bringUp(): Promise<void> {
    // Last of all: shards lose lines until they end.
    undo.push(() => shortages.stop());
    shortages.start();
    undo.push(() => shards.stop());
    await openReactors();

    undo.push(() => discovery.stop());
    await discovery.start();
    undo.push(() => health.stop());
    health.start();
    await shards.start(discovery.publication());

    if (admin !== undefined) {
      undo.push(() => admin.stop());
      adminAddress = await admin.start();
    }
    if (probes !== undefined) {
      undo.push(() => probes.stop());
      probesAddress = await probes.start();
    }
  }

  /** Each reactor owns its sockets from the moment it is made; those of shards that got none are closed here. */
  async function openReactors(): Promise<void> {
    for (const [place, listener] of snapshot.listeners.entries()) giveCertificates(addon, place, listener);
    listeners = await endpoint.open(snapshot.listeners, snapshot.shards.count);
    const { cidKey, processGeneration } = endpoint;
    for (const shard of shardNumbers) {
      try {
        addon.reactorCreate({
          shard,
          shards: snapshot.shards.count,
          processGeneration,
          cidKey,
          listeners: snapshot.listeners.map((listener, place) => toBindingListener(listener, listeners[place]?.fds[shard] as number)),
          maxExchanges: snapshot.limits.maxExchanges,
          statelessReplies: snapshot.limits.statelessReplies,
          maxHeldBytes: snapshot.limits.maxHeldBytes,
          backendTable: new Uint8Array(shared.backends),
        });
      } catch (error) {
        // Those of this shard were its reactor's already.
        endpoint.closeFrom(listeners, shard + 1);
        throw error;
      }
      // A reactor must outlive its worker, so this comes to pass after the shards have stopped.
      undo.unshift(() => addon.reactorDestroy(shard));
    }
  }

  async function takeDown(): Promise<void> {
    if (state === 'stopped' || state === 'stopping') return;
    state = 'stopping';
    for (let step = undo.pop(); step !== undefined; step = undo.pop()) {
      try {
        await step();
      } catch (error) {
        log.target('edge').error({ err: error }, 'a part did not stop cleanly');
      }
    }
    state = 'stopped';
  }

  function adminOf(): Admin | undefined {
    if (snapshot.admin.address === '') return undefined;
    return createAdmin(
      {
        status,
        upstreams: async () => viewUpstreams({ snapshot, shared, discovery, health }, await shards.ask<BackendRow[]>({ kind: 'sessions' })),
        metrics: async () => ({ text: await registry.metrics(), contentType: registry.contentType }),
        connections: async (limit) =>
          viewConnections(
            await shards.ask<ConnectionRow[]>({ kind: 'connections', limit }),
            snapshot.listeners.map(({ name }) => name),
          ),
        config: () => options.shownConfig,
        events,
        weights: createWeightControl(snapshot, shared.weights, events),
        limits: () => viewAllLimits(snapshot, shared),
        log,
        hurt: options.areFaultsAllowed ? shards.hurt : undefined,
      },
      { ...snapshot.admin, counts: adminCounts },
    );
  }

  function probesOf(): Admin | undefined {
    const { probesAddress: address, maxConnections } = snapshot.admin;
    return address === '' ? undefined : createProbes({ status, log }, { address, maxConnections, counts: adminCounts });
  }

  function status(): EdgeStatus {
    return {
      state,
      version: addon.version(),
      pid: process.pid,
      uptimeMs: Math.round(performance.now() - startedMs),
      generation: snapshot.generation,
      listeners: listeners.map(({ name, address, isSteered }) => ({ name, address, isSteered })),
      adminAddress,
      probesAddress,
      // Asking for a reactor that does not exist yet, or no more, is an error.
      exchanges: isLive() ? shards.exchanges() : 0,
      connections: isLive() ? shards.connections() : 0,
      shards: isLive() ? shards.status() : [],
    };
  }

  function isLive(): boolean {
    return state === 'serving' || state === 'draining';
  }
}
