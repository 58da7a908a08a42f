/**
 * The admin API and the address of the probes while the configuration changes: another address is
 * bound before anything changes, and the one before is left once its requests have been answered.
 * Tokens and limits hold from the next request on.
 */
import { createError, LychgateError } from '../../base/errors.ts';
import type { AdminSnapshot } from '../../config/snapshot/process.ts';
import type { Logger } from '../../observe/log.ts';
import { parseAddress } from '../listen/address.ts';
import { checkTcpFree, listenHint } from '../listen/port-check.ts';
import type { AdminParts } from './parts.ts';
import type { PlaceCounts } from './places.ts';
import { type Admin, createAdmin, createProbes } from './server.ts';

export interface AdminServers {
  /** Listens where the first configuration says. Throws `admin_failed`. */
  start(): Promise<void>;
  stop(): Promise<void>;
  /**
   * Binds what another configuration wants; throws `admin_failed` and leaves all as it is. Exactly
   * one of the two is to be called.
   */
  prepare(next: AdminSnapshot): Promise<{ take(): void; drop(): Promise<void> }>;
  /** Whether it could be bound now; throws as `prepare` does. */
  check(next: AdminSnapshot): Promise<void>;
  /** Where each listens, with the port that was taken; empty where it does not. */
  addresses(): { readonly admin: string; readonly probes: string };
}

/** One of the two. */
interface Server {
  /** As configured; empty for none. */
  readonly wanted: string;
  readonly address: string;
  readonly server: Admin | undefined;
}

const NONE: Server = { wanted: '', address: '', server: undefined };
const KINDS = ['admin', 'probes'] as const;
type Kind = (typeof KINDS)[number];

export function createAdminServers(parts: AdminParts, counts: PlaceCounts, first: AdminSnapshot, log: Logger): AdminServers {
  const now: Record<Kind, Server> = { admin: NONE, probes: NONE };
  /** Those that end. */
  const leaving = new Set<Promise<void>>();
  const ending = new Set<Admin>();
  // A mistake is told before anything is opened.
  const made = new Map(KINDS.filter((kind) => wantedOf(first, kind) !== '').map((kind) => [kind, make(kind, first)]));

  return {
    start: async () => {
      for (const kind of KINDS) now[kind] = await open(kind, first, made.get(kind));
    },
    async stop() {
      await Promise.all([...KINDS.map((kind) => now[kind].server?.stop()), ...[...ending].map((server) => server.stop())]);
      await Promise.allSettled(leaving);
    },
    async prepare(next) {
      const moved = movedBy(next);
      const opened = new Map<Kind, Server>();
      const drop = async (): Promise<void> => {
        await Promise.allSettled([...opened.values()].map(({ server }) => server?.stop()));
      };
      try {
        for (const kind of moved) opened.set(kind, await open(kind, next));
      } catch (error) {
        await drop();
        throw withReason(error, moved, next);
      }
      return { drop, take: () => take(next, opened) };
    },
    async check(next) {
      const moved = movedBy(next);
      for (const kind of moved) {
        const address = wantedOf(next, kind);
        try {
          if (address !== '') await checkTcpFree(address);
        } catch (error) {
          throw withReason(failed(kind, address, error), moved, next);
        }
      }
    },
    addresses: () => ({ admin: now.admin.address, probes: now.probes.address }),
  };

  function movedBy(next: AdminSnapshot): Kind[] {
    return KINDS.filter((kind) => wantedOf(next, kind) !== now[kind].wanted);
  }

  function make(kind: Kind, options: AdminSnapshot): Admin {
    const { token, maxConnections } = options;
    const address = wantedOf(options, kind);
    return kind === 'admin'
      ? createAdmin(parts, { address, token, maxConnections, counts })
      : createProbes(parts, { address, maxConnections, counts });
  }

  async function open(kind: Kind, options: AdminSnapshot, ready?: Admin): Promise<Server> {
    const wanted = wantedOf(options, kind);
    if (wanted === '') return NONE;
    const server = ready ?? make(kind, options);
    try {
      return { wanted, server, address: await server.start() };
    } catch (error) {
      await server.stop();
      throw error;
    }
  }

  function take(next: AdminSnapshot, opened: ReadonlyMap<Kind, Server>): void {
    for (const kind of KINDS) {
      const before = now[kind];
      // Who is about to be left has the new token too.
      before.server?.change(kind === 'admin' ? next : { ...next, token: '' });
      const after = opened.get(kind);
      if (after === undefined) continue;
      now[kind] = after;
      log.info({ [kind]: true, address: after.address, before: before.address }, 'the admin API listens on another address');
      if (before.server !== undefined) leave(before.server);
    }
  }

  function leave(server: Admin): void {
    ending.add(server);
    const left = server.leave().catch((error: unknown) => log.error({ err: error }, 'an address could not be closed cleanly'));
    leaving.add(left);
    void left.then(() => {
      leaving.delete(left);
      ending.delete(server);
    });
  }

  /** Says so where it is the edge itself that is in the way. */
  function withReason(error: unknown, moved: readonly Kind[], next: AdminSnapshot): unknown {
    if (!(error instanceof LychgateError)) return error;
    const ports = new Set(moved.map((kind) => parseAddress(wantedOf(next, kind))?.port));
    const own = KINDS.map((kind) => now[kind].address).filter((address) => ports.has(parseAddress(address)?.port));
    const detail = error.message.replace('another process listens there', `the edge itself listens on ${own.join(' and ')}`);
    return own.length === 0 ? error : createError('admin_failed', detail, error.context, error);
  }
}

function wantedOf({ address, probesAddress }: AdminSnapshot, kind: Kind): string {
  return kind === 'admin' ? address : probesAddress;
}

function failed(kind: Kind, address: string, error: unknown): LychgateError {
  const what = kind === 'admin' ? 'admin API' : 'server of the probes';
  return createError('admin_failed', `the ${what} cannot listen on ${address}${listenHint(error)}`, { address }, error);
}
