/**
 * What a running edge changes to another configuration, or to other files of it: everything that
 * can fail is prepared first, and what comes into force does so in one go.
 */

import { createError, LychgateError } from '../../base/errors.ts';
import { backendsOf, listenersOf } from '../../config/numbering/in-use.ts';
import type { NoRoom, Numbered, Numberer } from '../../config/numbering/numberer.ts';
import { nextSharedState, takeOver } from '../../lane/shared.ts';
import { forgetCounts } from '../../observe/counters.ts';
import { isLogLevel, type Log } from '../../observe/log.ts';
import type { AdminServers } from '../admin/servers.ts';
import type { Rotation } from '../certificates/rotation.ts';
import { type Trust, type UpstreamTrust, withTrust } from '../certificates/trust.ts';
import type { Discovery } from '../discovery/discovery.ts';
import type { Health } from '../health/health.ts';
import type { Endpoint, Opening } from '../listen/endpoint.ts';
import type { Loaded, Ready, Unready } from '../reload/reload.ts';
import type { Shards } from '../shards/shards.ts';
import { type Current, type InForce, type InForceParts, inForceOf } from './in-force.ts';
import type { FollowedSource } from './source.ts';

/**
 * How long a reload waits for shards. One that takes longer has its worker replaced, by one that
 * has the new configuration.
 */
const APPLY_PATIENCE_MS = 35_000;

/** What changes, and what is asked whether it may. */
export interface ChangeParts extends InForceParts {
  readonly current: Current;
  readonly numberer: Numberer;
  readonly admin: AdminServers;
  readonly discovery: Discovery;
  readonly endpoint: Endpoint;
  readonly health: Health;
  readonly rotation: Rotation;
  readonly shards: Shards;
  readonly source: FollowedSource;
  readonly trust: Trust;
  readonly log: Log;
  isServing(): boolean;
  /** It stops, or has stopped. */
  isOver(): boolean;
  /** Resolves when no reload is under way. */
  idle(): Promise<void>;
}

export interface Changes {
  prepare(next: Loaded, isDryRun: boolean): Promise<Ready | Unready>;
  useTrust(found: ReadonlyMap<string, UpstreamTrust>): Promise<void>;
}

export function createChanges(parts: ChangeParts): Changes {
  const { addon, admin, counters, current, discovery, endpoint, health, log, numberer, rotation, shards, source, trust } = parts;
  return { prepare, useTrust };

  /** Everything that a reload needs and that could fail, or takes its time. */
  async function prepare(next: Loaded, isDryRun: boolean): Promise<Ready | Unready> {
    const numbered = numberer.number(next.snapshot, await oldestExchange(), performance.now(), endpoint.isKnown);
    if ('kind' in numbered) return { result: 'no_room', detail: describeRoom(numbered) };
    const { snapshot, fresh } = numbered;
    const before = current.now;
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
      after = inForceOf(parts, snapshot, shared, next.config);
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
          if (!parts.isServing()) throw createError('not_serving');
        } catch (error) {
          drop();
          throw error;
        }
        takeOver(before, after, fresh);
        const tables = counters.map((memory) => new Float64Array(memory));
        for (const table of tables) forgetCounts(table, snapshot, fresh);
        current.now = after;
        addresses.take();
        health.apply(snapshot);
        trust.change(snapshot);
        addon.limitHeld(snapshot.limits.maxHeldBytes);
        servers.take();
        const { level } = snapshot.log;
        if (level !== before.snapshot.log.level && isLogLevel(level)) log.setLevel(level);
        source.follow(snapshot.reload.isWatched);
        const isLate = await isLaterThan(
          APPLY_PATIENCE_MS,
          shards.apply({ snapshot, shared, publication: discovery.publication(), places: opening.take() }),
        );
        if (isLate) log.target('reload').error('a shard does not use the new configuration yet');
        // Until now something could still be decided by what was removed.
        numbered.take(performance.now());
      },
    };
  }

  /**
   * Backends are connected by it from now on. What a reload is about to put in force comes first.
   */
  async function useTrust(found: ReadonlyMap<string, UpstreamTrust>): Promise<void> {
    await parts.idle();
    if (parts.isOver()) return;
    const snapshot = withTrust(current.now.snapshot, found);
    current.now = { ...current.now, snapshot };
    health.apply(snapshot);
    const taken = shards.apply({ snapshot, shared: current.now.shared, publication: discovery.publication() });
    if (await isLaterThan(APPLY_PATIENCE_MS, taken))
      log.target('certificates').error('a shard does not use the changed files of upstreams yet');
  }

  /**
   * When the oldest exchange began that is open in any shard: Infinity where none is, 0 where a
   * shard has no worker to ask.
   */
  async function oldestExchange(): Promise<number> {
    const ages = (await shards.ask<number>({ kind: 'oldest' })).map(({ rows }) => rows);
    if (ages.length < counters.length) return 0;
    const oldest = Math.max(...ages);
    return oldest < 0 ? Number.POSITIVE_INFINITY : performance.now() - oldest;
  }
}

/** The first configuration makes its own room. */
export function mustFit(numbered: Numbered | NoRoom): Numbered {
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
