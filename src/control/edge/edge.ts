/**
 * The edge: composes everything the main thread owns and starts it in the order in which things may depend on each other: sockets, reactors,
 * shards, admin API, and only then readiness. Stopping is the same list read backwards. What a part does stands in its own file.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Registry } from 'prom-client';
import { createError, LychgateError } from '../../base/errors.ts';
import { forgetLatency } from '../../base/tables.ts';
import { redact } from '../../config/describe/redact.ts';
import type { LoadedSnapshot } from '../../config/load.ts';
import { backendsOf, listenersOf } from '../../config/numbering/in-use.ts';
import { type NoRoom, type Numbered, Numberer } from '../../config/numbering/numberer.ts';
import type { InUse } from '../../config/prepare.ts';
import { identityOfIncludes } from '../../config/read/include.ts';
import type { Config } from '../../config/schema/config.ts';
import type { Snapshot } from '../../config/snapshot/snapshot.ts';
import { createSharedState, nextSharedState, type SharedState, takeOver } from '../../lane/shared.ts';
import { setHealth, setUpAgain } from '../../lane/standing/health.ts';
import type { BindingAddon } from '../../native/binding.ts';
import { giveCertificates, type ListenerPlace } from '../../native/convert.ts';
import { createCounters, forgetCounts } from '../../observe/counters.ts';
import { isLogLevel, type Log } from '../../observe/log.ts';
import { createRegistry } from '../../observe/registry.ts';
import { addAdminMetrics, noCounts } from '../admin/places.ts';
import { createAdminServers } from '../admin/servers.ts';
import { joined } from '../certificates/answer.ts';
import { createRotation } from '../certificates/rotation.ts';
import { createTrust, type UpstreamTrust, withTrust } from '../certificates/trust.ts';
import { createDiscovery } from '../discovery/discovery.ts';
import { createEvents, type Events } from '../events.ts';
import { createHealth } from '../health/health.ts';
import { createEndpoint, type Opening } from '../listen/endpoint.ts';
import { addCertificateMetrics, addTrustMetrics } from '../metrics/certificates.ts';
import { addEventMetric } from '../metrics/events.ts';
import { addLimitMetrics } from '../metrics/limits.ts';
import { addReloadMetrics } from '../metrics/reloads.ts';
import { addRestartMetric } from '../metrics/restarts.ts';
import { addStandingMetrics } from '../metrics/standing.ts';
import { createReloader, type Loaded, type Ready, type ReloadAnswer, type ReloadOptions, type Unready } from '../reload/reload.ts';
import { identityOf, type Watch, watchIdentity } from '../reload/watch.ts';
import { createShards } from '../shards/shards.ts';
import { createShortages } from '../shortages.ts';
import { viewAllLimits } from '../view/limits.ts';
import { type BackendRow, type ConnectionRow, viewConnections } from '../view/shards.ts';
import { viewUpstreams } from '../view/upstreams.ts';
import { createWeightControl } from '../weights.ts';
import { type DrainResult, drain } from './drain.ts';
import type { EdgeState, EdgeStatus } from './status.ts';

export interface EdgeParts {
  readonly addon: BindingAddon;
  readonly snapshot: Snapshot;
  readonly log: Log;
}

/** Where the configuration comes from. */
export interface EdgeSource {
  /** The one that the snapshot was made of. */
  readonly config: Config;
  /** The file, for `reload.watch`. */
  readonly file?: string;
  /** What the file includes, as `loadSnapshot` tells it, for `reload.watch`. */
  readonly includes?: readonly string[];
  /** Reads it again; a certificate that is worse than the one it would replace is a mistake. */
  load(inUse: InUse): Promise<Omit<LoadedSnapshot, 'files' | 'includes'> & Partial<LoadedSnapshot>>;
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
  /** Resolves when traffic is served. When a part fails, those before it are stopped and its error is thrown. */
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
  /** Closes every connection and waits for nothing else, also in the middle of a start, a drain or a stop; the process is to end right after. */
  cut(): Promise<void>;
}

/** What is in force, and what was made of it. */
interface InForce {
  readonly snapshot: Snapshot;
  readonly shared: SharedState;
  readonly config: Config | undefined;
  /** Families of what the snapshot names, and those of the process. */
  readonly registry: Registry;
}

/**
 * How long a reload waits for shards. One that takes longer has its worker replaced, by one that
 * has the new configuration.
 */
const APPLY_PATIENCE_MS = 35_000;

/** How long a worker may take to obey when everything is cut. */
const CUT_PATIENCE_MS = 500;

export function createEdge({ addon, snapshot: given, log }: EdgeParts, options: EdgeOptions): Edge {
  const startedMs = performance.now();
  const { source } = options;
  const numberer = new Numberer();
  const { snapshot: first, take } = mustFit(numberer.number(given, 0, 0));
  take(0);
  const shardNumbers = Array.from({ length: first.shards.count }, (_, shard) => shard);
  const counters = shardNumbers.map(() => createCounters(first));
  const processRegistry = new Registry();
  const events = createEvents(() => now.snapshot, log.target('events'));
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
  const trust = createTrust({ snapshot: first, use: useTrust, events, log: log.target('certificates') });
  const reloader = createReloader({
    load: readAgain,
    inForce: () => ({ snapshot: now.snapshot, config: now.config as Config }),
    isServing: () => state === 'serving',
    prepare,
    log: log.target('reload'),
  });
  addRestartMetric(processRegistry, shards);
  addCertificateMetrics(processRegistry, rotation);
  addTrustMetrics(processRegistry, trust);
  addEventMetric(processRegistry, events);
  const shortages = createShortages({ addon, counters, log, nowMs: () => performance.now() }, processRegistry);
  const adminCounts = noCounts();
  addAdminMetrics(processRegistry, adminCounts);
  addReloadMetrics(processRegistry, reloader, () => now.snapshot.generation);
  let now: InForce = inForceOf(first, shared, source?.config);
  const admin = adminOf();

  let watch: Watch | undefined;
  let includes = source?.includes ?? [];
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
        now.snapshot.drain,
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
    undo.push(() => watch?.stop());
    watchAsWished();

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

  function inForceOf(snapshot: Snapshot, shared: SharedState, config: Config | undefined): InForce {
    const registry = createRegistry({ addon, snapshot, counters, backendTable: shared.backends });
    addStandingMetrics(registry, { snapshot, shared, addresses: (slot) => discovery.status(slot).addresses.length });
    addLimitMetrics(registry, { snapshot, shared });
    return { snapshot, shared, config, registry: Registry.merge([registry, processRegistry]) };
  }

  /** Everything that a reload needs and that could fail, or takes its time. */
  async function prepare(next: Loaded, isDryRun: boolean): Promise<Ready | Unready> {
    const numbered = numberer.number(next.snapshot, await oldestExchange(), performance.now(), endpoint.isKnown);
    if ('kind' in numbered) return { result: 'no_room', detail: describeRoom(numbered) };
    const { snapshot, fresh } = numbered;
    const before = now;
    const shared = nextSharedState(before, snapshot);
    const listeners = listenersOf(snapshot);
    const drops: (() => void)[] = [];
    const drop = (): void => {
      for (const one of drops.splice(0)) one();
    };
    let opening: Opening;
    let servers: Awaited<ReturnType<typeof admin.prepare>>;
    try {
      if (isDryRun) {
        await endpoint.check(listeners);
        await admin.check(snapshot.admin);
        return { commit: async () => {}, drop };
      }
      opening = await endpoint.open(listeners);
      drops.push(() => opening.drop());
      servers = await admin.prepare(snapshot.admin);
      drops.push(() => void servers.drop());
    } catch (error) {
      drop();
      const isKnown = error instanceof LychgateError && (error.code === 'listen_failed' || error.code === 'admin_failed');
      if (isKnown) return { result: 'cannot_listen', detail: error.message };
      throw error;
    }
    let addresses: Awaited<ReturnType<typeof discovery.prepare>>;
    let after: InForce;
    try {
      addresses = await discovery.prepare(backendsOf(snapshot));
      drops.push(() => addresses.drop());
      after = inForceOf(snapshot, shared, next.config);
    } catch (error) {
      drop();
      throw error;
    }
    return {
      drop,
      async commit() {
        try {
          await rotation.change(listeners, snapshot.certificates);
          // What ends meanwhile has ended its parts, which nobody is to begin anew.
          if (state !== 'serving') throw createError('not_serving');
        } catch (error) {
          drop();
          throw error;
        }
        takeOver(before, after, fresh);
        const tables = counters.map((memory) => new Float64Array(memory));
        for (const table of tables) forgetCounts(table, snapshot, fresh);
        now = after;
        addresses.take();
        health.apply(snapshot);
        trust.change(snapshot);
        addon.limitHeld(snapshot.limits.maxHeldBytes);
        servers.take();
        const { level } = snapshot.log;
        if (level !== before.snapshot.log.level && isLogLevel(level)) log.setLevel(level);
        watchAsWished();
        const isLate = await isLaterThan(
          APPLY_PATIENCE_MS,
          shards.apply({ snapshot, shared, publication: discovery.publication(), places: opening.take() }),
        );
        if (isLate) log.target('reload').error('a shard does not decide by the new configuration yet');
        // Until now something could still be decided by what was removed.
        numbered.take(performance.now());
      },
    };
  }

  /**
   * Backends are connected by it from now on. What a reload is about to put in force comes first.
   */
  async function useTrust(found: ReadonlyMap<string, UpstreamTrust>): Promise<void> {
    await reloader.idle();
    if (state === 'stopping' || state === 'stopped') return;
    const snapshot = withTrust(now.snapshot, found);
    now = { ...now, snapshot };
    health.apply(snapshot);
    const taken = shards.apply({ snapshot, shared: now.shared, publication: discovery.publication() });
    if (await isLaterThan(APPLY_PATIENCE_MS, taken)) log.target('certificates').error('a shard does not go by what changed yet');
  }

  function watchAsWished(): void {
    const { isWatched } = now.snapshot.reload;
    if (isWatched === (watch !== undefined) || source?.file === undefined) return;
    watch?.stop();
    const { file } = source;
    const identify = async (): Promise<string> => {
      const [own, included] = await Promise.all([identityOf(file), identityOfIncludes(includes, identityOf)]);
      return own === '' || included === '' ? '' : `${own} ${included}`;
    };
    watch = isWatched ? watchIdentity(identify, () => void reloader.reload('watch', { waits: true })) : undefined;
  }

  /**
   * What is included is known from then on, also where it has mistakes: whoever mends them need not
   * touch the file itself.
   */
  async function readAgain(): ReturnType<EdgeSource['load']> {
    const read = (await source?.load(rotation.inUse)) ?? { problems: [] };
    includes = read.includes ?? [];
    return read;
  }

  /**
   * When the oldest exchange began that is open in any shard: Infinity where none is, 0 where a
   * shard has no worker to ask.
   */
  async function oldestExchange(): Promise<number> {
    const ages = (await shards.ask<number>({ kind: 'oldest' })).map(({ rows }) => rows);
    if (ages.length < shardNumbers.length) return 0;
    const oldest = Math.max(...ages);
    return oldest < 0 ? Number.POSITIVE_INFINITY : performance.now() - oldest;
  }

  function adminOf(): ReturnType<typeof createAdminServers> {
    return createAdminServers(
      {
        status,
        upstreams: async () => viewUpstreams({ ...now, discovery, health, trust }, await shards.ask<BackendRow[]>({ kind: 'sessions' })),
        metrics: async () => ({ text: await now.registry.metrics(), contentType: now.registry.contentType }),
        connections: async (limit) =>
          viewConnections(
            await shards.ask<ConnectionRow[]>({ kind: 'connections', limit }),
            now.snapshot.listeners.map(({ name }) => name),
          ),
        config: () => (now.config === undefined ? options.shownConfig : redact(now.config)),
        events,
        weights: createWeightControl(() => ({ snapshot: now.snapshot, weights: now.shared.weights }), events),
        limits: () => viewAllLimits(now.snapshot, now.shared),
        reload: source === undefined ? undefined : reloader.reload,
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
      generation: now.snapshot.generation,
      reload: source === undefined ? null : reloader.status(),
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

/** The first configuration makes its own room. */
function mustFit(numbered: Numbered | NoRoom): Numbered {
  if ('kind' in numbered) throw createError('config_not_valid', describeRoom(numbered));
  return numbered;
}

function describeRoom({ kind, room, held }: NoRoom): string {
  if (kind === 'clientFields')
    return `proxies tell the client in ${room} different fields at most, of which ${held} are known to what was open before; try again later`;
  return `there is room for ${room} ${kind}, of which ${held} are held by what was removed while exchanges from before are open; a restart makes more`;
}

async function isLaterThan(ms: number, done: Promise<void>): Promise<boolean> {
  const late = Promise.withResolvers<boolean>();
  const timer = setTimeout(late.resolve, ms, true);
  const isLate = await Promise.race([done.then(() => false), late.promise]);
  clearTimeout(timer);
  return isLate;
}
