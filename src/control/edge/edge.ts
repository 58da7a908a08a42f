/**
 * The edge: composes everything the main thread owns and starts it in the order in which things may
 * depend on each other: sockets, reactors, shards, admin API, and only then readiness. Stopping is
 * the same list read backwards. What a part does stands in its own file.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Registry } from 'prom-client';
import { forgetLatency } from '../../base/tables.ts';
import { redact } from '../../config/describe/redact.ts';
import { backendsOf, listenersOf } from '../../config/numbering/in-use.ts';
import { Numberer } from '../../config/numbering/numberer.ts';
import type { Config } from '../../config/schema/config.ts';
import type { Snapshot } from '../../config/snapshot/snapshot.ts';
import { createSharedState } from '../../lane/shared.ts';
import { setHealth, setUpAgain } from '../../lane/standing/health.ts';
import type { BindingAddon } from '../../native/binding.ts';
import { giveCertificates, type ListenerPlace } from '../../native/convert.ts';
import { createCounters } from '../../observe/counters.ts';
import type { Log } from '../../observe/log.ts';
import { addAdminMetrics, noCounts } from '../admin/places.ts';
import { createAdminServers } from '../admin/servers.ts';
import { joined } from '../certificates/answer.ts';
import { createRotation } from '../certificates/rotation.ts';
import { createTrust } from '../certificates/trust.ts';
import { createDiscovery } from '../discovery/discovery.ts';
import { createEvents, type Events } from '../events.ts';
import { createHealth } from '../health/health.ts';
import { createEndpoint } from '../listen/endpoint.ts';
import { addCertificateMetrics, addTrustMetrics } from '../metrics/certificates.ts';
import { addEventMetric } from '../metrics/events.ts';
import { addReloadMetrics } from '../metrics/reloads.ts';
import { addRestartMetric } from '../metrics/restarts.ts';
import { createReloader, type ReloadAnswer, type ReloadOptions } from '../reload/reload.ts';
import { createShards } from '../shards/shards.ts';
import { createShortages } from '../shortages.ts';
import { viewAllLimits } from '../view/limits.ts';
import { type BackendRow, type ConnectionRow, viewConnections } from '../view/shards.ts';
import { viewUpstreams } from '../view/upstreams.ts';
import { createWeightControl } from '../weights.ts';
import { createChanges, mustFit } from './changes.ts';
import { type DrainResult, drain } from './drain.ts';
import { type Current, inForceOf } from './in-force.ts';
import { type EdgeSource, FollowedSource } from './source.ts';
import type { EdgeState, EdgeStatus } from './status.ts';

export interface EdgeParts {
  readonly addon: BindingAddon;
  readonly snapshot: Snapshot;
  readonly log: Log;
}

export interface EdgeOptions {
  /**
   * What `/v1/config` shows; secrets are already replaced. Not needed where there is a source,
   * whose configuration is shown as it is in force.
   */
  readonly shownConfig?: unknown;
  /** Without it nothing can be reloaded. */
  readonly source?: EdgeSource;
  /** Obey orders to hurt workers; tests only. */
  readonly areFaultsAllowed?: boolean;
  /** Another worker file, for tests. */
  readonly workerFile?: string;
}

export interface Edge {
  /**
   * Resolves when traffic is served. When a part fails, those before it are stopped and its error
   * is thrown.
   */
  start(): Promise<void>;
  status(): EdgeStatus;
  /** What changes in the standing of backends, limits and budgets. */
  readonly events: Pick<Events, 'subscribe'>;
  /**
   * Reads the configuration again and puts it in the place of the one in force, or says why not;
   * `trigger` names who asks. Never rejects.
   */
  reload(trigger: string, options?: ReloadOptions): Promise<ReloadAnswer>;
  /** Lets open exchanges end; `stop` is the next step. */
  drain(reason: string): Promise<DrainResult>;
  /** Ends everything that lives, cutting what is open. Safe to call twice. */
  stop(): Promise<void>;
  /**
   * Closes every connection and waits for nothing else, also in the middle of a start, a drain or a
   * stop; the process is to end right after.
   */
  cut(): Promise<void>;
}

/** How long a worker may take to obey when everything is cut. */
const CUT_PATIENCE_MS = 500;

export function createEdge({ addon, snapshot: given, log }: EdgeParts, options: EdgeOptions): Edge {
  const startedMs = performance.now();
  const hasSource = options.source !== undefined;
  const numberer = new Numberer();
  const { snapshot: first, take } = mustFit(numberer.number(given, 0, 0));
  take(0);
  const shardNumbers = Array.from({ length: first.shards.count }, (_, shard) => shard);
  const counters = shardNumbers.map(() => createCounters(first));
  const processRegistry = new Registry();
  const events = createEvents(() => current.now.snapshot, log.target('events'));
  const endpoint = createEndpoint({ addon, log: log.target('endpoint'), onPlaces: (places) => shards.listen(places) }, first.shards.count);
  const discovery = createDiscovery({
    backends: backendsOf(first),
    onPublish: (publication) => shards.publish(publication),
    log: log.target('discovery'),
  });
  const shared = createSharedState(first);
  const health = createHealth({
    addon,
    snapshot: first,
    addressOf: (slot) => discovery.status(slot).addresses[0],
    publish(slot, state) {
      if (state === 'up') forgetLatency(shared.backends, slot);
      setHealth(shared.standing, slot, state);
    },
    expect: (slot, upAtMs) => setUpAgain(shared.standing, slot, upAtMs),
    onEvent: (event) => events.note(event),
  });
  const shards = createShards(
    { addon, snapshot: first, shared, counters, log: log.target('shards'), onEvent: (event) => events.note(event) },
    {
      stallTimeoutMs: first.shards.stallTimeoutMs,
      areFaultsAllowed: options.areFaultsAllowed ?? false,
      ...(options.workerFile === undefined ? {} : { filename: options.workerFile }),
    },
  );
  const rotation = createRotation({
    addon,
    listeners: listenersOf(first),
    options: first.certificates,
    events,
    log: log.target('certificates'),
  });
  const trust = createTrust({ snapshot: first, use: (found) => changes.useTrust(found), events, log: log.target('certificates') });
  const reloader = createReloader({
    load: () => source.read(rotation.inUse),
    inForce: () => ({ snapshot: current.now.snapshot, config: current.now.config as Config }),
    isServing: () => state === 'serving',
    prepare: (next, isDryRun) => changes.prepare(next, isDryRun),
    log: log.target('reload'),
  });
  addRestartMetric(processRegistry, shards);
  addCertificateMetrics(processRegistry, rotation);
  addTrustMetrics(processRegistry, trust);
  addEventMetric(processRegistry, events);
  const shortages = createShortages({ addon, counters, log, nowMs: () => performance.now() }, processRegistry);
  const adminCounts = noCounts();
  addAdminMetrics(processRegistry, adminCounts);
  addReloadMetrics(processRegistry, reloader, () => current.now.snapshot.generation);
  const inForceParts = { addon, counters, discovery, processRegistry };
  const current: Current = { now: inForceOf(inForceParts, first, shared, options.source?.config) };
  const source = new FollowedSource(options.source, () => void reloader.reload('watch', { waits: true }));
  const admin = adminOf();
  const changes = createChanges({
    ...inForceParts,
    current,
    numberer,
    admin,
    endpoint,
    health,
    rotation,
    shards,
    source,
    trust,
    log,
    isServing: () => state === 'serving',
    isOver: () => state === 'stopping' || state === 'stopped',
    idle: reloader.idle,
  });

  let state: EdgeState = 'idle';
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
    reload: reloader.reload,
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
        current.now.snapshot.drain,
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
    const places = await openReactors();

    undo.push(() => discovery.stop());
    await discovery.start();
    undo.push(() => health.stop());
    health.start();
    await shards.start(discovery.publication(), places);
    undo.push(() => source.stop());
    source.follow(first.reload.isWatched);

    undo.push(() => rotation.stop());
    await rotation.start();
    undo.push(() => trust.stop());
    await trust.start();

    undo.push(() => admin.stop());
    await admin.start();
  }

  /** Sockets are open before anything else is; each reactor gets its own when its shard listens. */
  async function openReactors(): Promise<readonly ListenerPlace[]> {
    for (const [number, listener] of listenersOf(first)) giveCertificates(addon, number, listener);
    const opening = await endpoint.open(listenersOf(first));
    undo.unshift(() => endpoint.stop());
    const { cidKey, processGeneration } = endpoint;
    for (const shard of shardNumbers) {
      addon.reactorCreate({
        shard,
        shards: first.shards.count,
        processGeneration,
        cidKey,
        maxExchanges: first.limits.maxExchanges,
        statelessReplies: first.limits.statelessReplies,
        maxHeldBytes: first.limits.maxHeldBytes,
        backendTable: new Uint8Array(shared.backends),
      });
      // A reactor must outlive its worker, so this comes to pass after the shards have stopped.
      undo.unshift(() => addon.reactorDestroy(shard));
    }
    return opening.take();
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

  function adminOf(): ReturnType<typeof createAdminServers> {
    return createAdminServers(
      {
        status,
        upstreams: async () =>
          viewUpstreams({ ...current.now, discovery, health, trust }, await shards.ask<BackendRow[]>({ kind: 'sessions' })),
        metrics: async () => ({ text: await current.now.registry.metrics(), contentType: current.now.registry.contentType }),
        connections: async (limit) =>
          viewConnections(
            await shards.ask<ConnectionRow[]>({ kind: 'connections', limit }),
            current.now.snapshot.listeners.map(({ name }) => name),
          ),
        config: () => (current.now.config === undefined ? options.shownConfig : redact(current.now.config)),
        events,
        weights: createWeightControl(() => ({ snapshot: current.now.snapshot, weights: current.now.shared.weights }), events),
        limits: () => viewAllLimits(current.now.snapshot, current.now.shared),
        reload: hasSource ? reloader.reload : undefined,
        certificates: {
          view: rotation.view,
          reload: async (trigger) => joined(await rotation.reload(trigger), await trust.reload(trigger)),
        },
        log,
        hurt: options.areFaultsAllowed ? shards.hurt : undefined,
      },
      adminCounts,
      first.admin,
      log.target('admin'),
    );
  }

  function status(): EdgeStatus {
    return {
      state,
      version: addon.version(),
      pid: process.pid,
      uptimeMs: Math.round(performance.now() - startedMs),
      generation: current.now.snapshot.generation,
      reload: hasSource ? reloader.status() : null,
      listeners: endpoint.view(),
      adminAddress: admin.addresses().admin,
      probesAddress: admin.addresses().probes,
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
