/**
 * One name, resolved again and again. A name that stops resolving keeps its last addresses: a
 * resolver that fails says nothing about backends that served a moment ago.
 */
import { isIP } from 'node:net';

/**
 * Share of the interval by which each wait is shortened or lengthened, so that many edges do not
 * ask in step.
 */
const JITTER = 0.1;
/** Wait after a failure, where the interval is longer. */
const RETRY_MS = 1_000;

/** Looks a host name up; all its addresses, in order of preference. */
export type Lookup = (host: string) => Promise<readonly string[]>;

export interface ResolverParts {
  readonly lookup: Lookup;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  /** Wall clock, milliseconds since the epoch. */
  readonly nowMs: () => number;
  /** Called when the set of addresses differs from the last one. */
  readonly onChange: (addresses: readonly string[]) => void;
  /** `isRepeated` says that the lookup before failed in the same way. */
  readonly onFailure: (error: unknown, isRepeated: boolean) => void;
}

/** What is known about a name. */
export interface ResolverStatus {
  readonly addresses: readonly string[];
  /** Milliseconds since the epoch; 0 when the name has never resolved. */
  readonly resolvedAtMs: number;
  /** Code of the last failure, empty after a success. */
  readonly failure: string;
}

export interface Resolver {
  /** Resolves when the first lookup has ended, well or badly. */
  start(): Promise<void>;
  stop(): void;
  status(): ResolverStatus;
}

/**
 * A resolver for `host`; `intervalMs` 0 asks once. An address is its own answer and is never asked
 * for.
 */
export function createResolver(host: string, intervalMs: number, parts: ResolverParts): Resolver {
  const literal = host.replace(/^\[|\]$/g, '');
  let status: ResolverStatus = { addresses: [], resolvedAtMs: 0, failure: '' };
  let timer: NodeJS.Timeout | undefined;
  let isStopped = false;

  return {
    async start() {
      if (isIP(literal) !== 0) return take([literal]);
      await ask();
    },
    stop() {
      isStopped = true;
      clearTimeout(timer);
    },
    status: () => status,
  };

  async function ask(): Promise<void> {
    let waitMs = intervalMs;
    try {
      const addresses = await parts.lookup(literal);
      if (addresses.length === 0) throw Object.assign(new Error(`${host} has no address`), { code: 'ENODATA' });
      if (!isStopped) take(addresses);
    } catch (error) {
      const failure = String((error as NodeJS.ErrnoException).code ?? 'error');
      const isRepeated = failure === status.failure;
      status = { ...status, failure };
      if (!isStopped) parts.onFailure(error, isRepeated);
      waitMs = Math.min(RETRY_MS, intervalMs);
    }
    if (isStopped || intervalMs === 0) return;
    timer = setTimeout(() => void ask(), waitMs * (1 - JITTER + 2 * JITTER * parts.random()));
    timer.unref();
  }

  function take(addresses: readonly string[]): void {
    const isSame = sameSet(status.addresses, addresses);
    // Resolvers rotate their answers; only another set is news.
    status = { addresses: isSame ? status.addresses : addresses, resolvedAtMs: parts.nowMs(), failure: '' };
    if (!isSame) parts.onChange(addresses);
  }
}

function sameSet(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.toSorted().join() === b.toSorted().join();
}
