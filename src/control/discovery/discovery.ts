/**
 * Discovery: which socket addresses every backend has at the moment. Names are resolved once
 * however many backends share them, and each change is given to `onPublish` as the whole set,
 * numbered.
 */

import { lookup } from 'node:dns/promises';
import { hostPort } from '../../base/authority.ts';
import type { BackendSnapshot } from '../../config/snapshot/upstream.ts';
import type { Logger } from '../../observe/log.ts';
import type { Publication } from '../../shard/port.ts';
import { createResolver, type Lookup, type Resolver, type ResolverStatus } from './resolver.ts';

interface Name {
  readonly resolver: Resolver;
  readonly intervalMs: number;
}

const UNKNOWN: ResolverStatus = { addresses: [], resolvedAtMs: 0, failure: '' };

/** How long a start waits for names. Those that take longer arrive when they arrive. */
const FIRST_ANSWER_MS = 2_000;

export interface DiscoveryParts {
  readonly backends: readonly BackendSnapshot[];
  readonly onPublish: (publication: Publication) => void;
  readonly log: Logger;
  readonly lookup?: Lookup;
  readonly firstAnswerMs?: number;
}

export interface Discovery {
  /**
   * Resolves when every name has been asked for once, or after two seconds; a name that fails does
   * not fail the start.
   */
  start(): Promise<void>;
  stop(): void;
  publication(): Publication;
  /**
   * Makes ready for other backends: names that are new are asked for as at the start, and nothing
   * changes until the result is taken. One at a time.
   */
  prepare(backends: readonly BackendSnapshot[]): Promise<PreparedDiscovery>;
  /** What is known about the name of a backend, by slot. */
  status(slot: number): ResolverStatus;
}

/**
 * Names and addresses of a snapshot that is not in force yet. Exactly one of the two is to be
 * called.
 */
export interface PreparedDiscovery {
  /**
   * The backends are these from now on; the publication is a new one, which `onPublish` is not
   * told.
   */
  take(): void;
  drop(): void;
}

export function createDiscovery(parts: DiscoveryParts): Discovery {
  const { log } = parts;
  let { backends } = parts;
  let bySlot = new Map(backends.map((backend) => [backend.slot, backend]));
  let names = namesOf(backends, new Map());
  let number = 1;
  let isPublishing = false;

  return {
    async start() {
      await askAll([...names.values()]);
      isPublishing = true;
    },
    stop() {
      for (const { resolver } of names.values()) resolver.stop();
    },
    publication,
    async prepare(next) {
      const before = names;
      const after = namesOf(next, before);
      const added = [...after].filter(([host, name]) => before.get(host) !== name).map(([, name]) => name);
      await askAll(added);
      return {
        take() {
          names = after;
          backends = next;
          bySlot = new Map(next.map((backend) => [backend.slot, backend]));
          number++;
          for (const [host, name] of before) if (after.get(host) !== name) name.resolver.stop();
        },
        drop() {
          for (const { resolver } of added) resolver.stop();
        },
      };
    },
    status(slot) {
      const backend = bySlot.get(slot);
      return backend === undefined ? UNKNOWN : statusOf(backend);
    },
  };

  /** Resolvers of the hosts of `wanted`; of those known, the ones that ask as often. */
  function namesOf(wanted: readonly BackendSnapshot[], known: ReadonlyMap<string, Name>): Map<string, Name> {
    const found = new Map<string, Name>();
    for (const { host, resolveIntervalMs } of wanted) {
      if (found.has(host)) continue;
      const intervalMs = shortestInterval(wanted, host) || resolveIntervalMs;
      const before = known.get(host);
      found.set(host, before?.intervalMs === intervalMs ? before : nameOf(host, intervalMs));
    }
    return found;
  }

  function nameOf(host: string, intervalMs: number): Name {
    const resolver = createResolver(host, intervalMs, {
      lookup: parts.lookup ?? lookupAll,
      random: Math.random,
      nowMs: Date.now,
      onChange: (addresses) => changed(host, resolver, addresses),
      onFailure: (error, isRepeated) => failed(host, error, isRepeated),
    });
    return { resolver, intervalMs };
  }

  async function askAll(asked: readonly Name[]): Promise<void> {
    const late = Promise.withResolvers<void>();
    const timer = setTimeout(late.resolve, parts.firstAnswerMs ?? FIRST_ANSWER_MS);
    await Promise.race([Promise.all(asked.map(({ resolver }) => resolver.start())), late.promise]);
    clearTimeout(timer);
  }

  function changed(host: string, resolver: Resolver, addresses: readonly string[]): void {
    log.debug({ host, addresses }, 'name resolved');
    // What is found during the start, or for backends that are not in force yet, is read by whoever
    // awaited it; later changes are news.
    if (!isPublishing || names.get(host)?.resolver !== resolver) return;
    number++;
    log.info({ host, addresses, publication: number }, 'addresses of a name changed');
    parts.onPublish(publication());
  }

  /**
   * A name that stays unresolved is asked for each second: the log hears of it when its failure
   * begins or changes.
   */
  function failed(host: string, error: unknown, isRepeated: boolean): void {
    const facts = { host, error: error instanceof Error ? error.message : String(error) };
    if (isRepeated) log.debug(facts, 'name still not resolved');
    else log.warn(facts, 'name not resolved; the last addresses stay');
  }

  function publication(): Publication {
    const addresses: string[][] = [];
    for (const backend of backends) addresses[backend.slot] = statusOf(backend).addresses.map((ip) => hostPort(ip, backend.port));
    return { number, addresses: Array.from(addresses, (found) => found ?? []) };
  }

  function statusOf(backend: BackendSnapshot): ResolverStatus {
    return names.get(backend.host)?.resolver.status() ?? UNKNOWN;
  }

  /**
   * Backends of different upstreams may share a name and differ in patience: the least patient one
   * decides.
   */
  function shortestInterval(among: readonly BackendSnapshot[], host: string): number {
    const intervals = among.filter((backend) => backend.host === host && backend.resolveIntervalMs > 0).map((b) => b.resolveIntervalMs);
    return intervals.length === 0 ? 0 : Math.min(...intervals);
  }
}

/** The system's own order (RFC 6724) is kept: it knows which families this machine can reach. */
async function lookupAll(host: string): Promise<readonly string[]> {
  const found = await lookup(host, { all: true, order: 'verbatim' });
  return found.map(({ address }) => address);
}
