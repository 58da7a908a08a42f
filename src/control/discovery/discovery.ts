/**
 * Discovery: which socket addresses every backend has at the moment. Names are resolved once however many backends share them, and each change is
 * given to `onPublish` as the whole set, numbered.
 */
import { lookup } from 'node:dns/promises';
import type { BackendSnapshot } from '../../config/snapshot.ts';
import type { Logger } from '../../observe/log.ts';
import type { Publication } from '../../shard-port.ts';
import { createResolver, type Lookup, type Resolver, type ResolverStatus } from './resolver.ts';

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
  /** Resolves when every name has been asked for once, or after two seconds; a name that fails does not fail the start. */
  start(): Promise<void>;
  stop(): void;
  publication(): Publication;
  /** What is known about the name of a backend, by slot. */
  status(slot: number): ResolverStatus;
}

export function createDiscovery(parts: DiscoveryParts): Discovery {
  const { backends, log } = parts;
  const resolvers = new Map<string, Resolver>();
  let number = 1;
  let isPublishing = false;

  for (const { host, resolveIntervalMs } of backends) {
    if (resolvers.has(host)) continue;
    resolvers.set(
      host,
      createResolver(host, shortestInterval(host) || resolveIntervalMs, {
        lookup: parts.lookup ?? lookupAll,
        random: Math.random,
        nowMs: Date.now,
        onChange: (addresses) => changed(host, addresses),
        onFailure: (error, isRepeated) => failed(host, error, isRepeated),
      }),
    );
  }

  return {
    async start() {
      const asked = Promise.all([...resolvers.values()].map((resolver) => resolver.start()));
      const late = Promise.withResolvers<void>();
      const timer = setTimeout(late.resolve, parts.firstAnswerMs ?? FIRST_ANSWER_MS);
      await Promise.race([asked, late.promise]);
      clearTimeout(timer);
      isPublishing = true;
    },
    stop() {
      for (const resolver of resolvers.values()) resolver.stop();
    },
    publication,
    status: (slot) => statusOf(backends[slot] as BackendSnapshot),
  };

  function changed(host: string, addresses: readonly string[]): void {
    log.debug({ host, addresses }, 'name resolved');
    // What is found during the start is read by whoever awaited it; later changes are news.
    if (!isPublishing) return;
    number++;
    log.info({ host, addresses, publication: number }, 'addresses of a name changed');
    parts.onPublish(publication());
  }

  /** A name that stays unresolved is asked for each second: the log hears of it when its failure begins or changes. */
  function failed(host: string, error: unknown, isRepeated: boolean): void {
    const facts = { host, error: error instanceof Error ? error.message : String(error) };
    if (isRepeated) log.debug(facts, 'name still not resolved');
    else log.warn(facts, 'name not resolved; the last addresses stay');
  }

  function publication(): Publication {
    return { number, addresses: backends.map((backend) => statusOf(backend).addresses.map((ip) => socketAddress(ip, backend.port))) };
  }

  function statusOf(backend: BackendSnapshot): ResolverStatus {
    return resolvers.get(backend.host)?.status() ?? { addresses: [], resolvedAtMs: 0, failure: '' };
  }

  /** Backends of different upstreams may share a name and differ in patience: the least patient one decides. */
  function shortestInterval(host: string): number {
    const intervals = backends.filter((backend) => backend.host === host && backend.resolveIntervalMs > 0).map((b) => b.resolveIntervalMs);
    return intervals.length === 0 ? 0 : Math.min(...intervals);
  }
}

/** The system's own order (RFC 6724) is kept: it knows which families this machine can reach. */
async function lookupAll(host: string): Promise<readonly string[]> {
  const found = await lookup(host, { all: true, order: 'verbatim' });
  return found.map(({ address }) => address);
}

function socketAddress(ip: string, port: number): string {
  return ip.includes(':') ? `[${ip}]:${port}` : `${ip}:${port}`;
}
