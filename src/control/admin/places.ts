/**
 * Who holds the connections of the admin API. A connection on which nothing is answered holds no
 * place against others: with all places taken the one that has been quiet longest is closed for the
 * next, so half-sent requests keep nobody out. Requests hold theirs until they are answered, but
 * never the last ones, which are left to the two probes: those are answered at once and hold
 * nothing.
 */
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Registry } from 'prom-client';
import type { Family } from '../../observe/families.ts';
import { addFamily } from '../metrics/add-family.ts';

/** Paths an orchestrator asks; what they answer is one word. */
export const PROBES: ReadonlySet<string> = new Set(['/healthz', '/readyz']);

/** Of so many places one is left to probes. */
const PLACES_A_PROBE = 8;

/** The families as the reference page describes them. */
const ADMIN_FAMILIES = {
  open: { name: 'lychgate_admin_connections', kind: 'gauge', help: 'Connections to the admin API and its probes.', labels: [] },
  refused: {
    name: 'lychgate_admin_refused_total',
    kind: 'counter',
    help: 'What found no place at the admin API or its probes: a connection that was quiet and closed for another (`quiet`), a request answered with 503 (`admin_busy`).',
    labels: ['reason'],
  },
} as const satisfies Record<string, Family>;

/** What was counted of the places of one server or of several. */
export interface PlaceCounts {
  open: number;
  quiet: number;
  busy: number;
}

export function noCounts(): PlaceCounts {
  return { open: 0, quiet: 0, busy: 0 };
}

/** Adds the families to `registry`. */
export function addAdminMetrics(registry: Registry, counts: PlaceCounts): void {
  addFamily(registry, ADMIN_FAMILIES.open, (set) => set({}, counts.open));
  addFamily(registry, ADMIN_FAMILIES.refused, (set) => {
    set({ reason: 'quiet' }, counts.quiet);
    set({ reason: 'admin_busy' }, counts.busy);
  });
}

/** The path that a request line names, without query. */
export function pathOf(url: string | undefined): string {
  return (url ?? '').split('?', 1)[0] as string;
}

export class Places {
  /** Connections without a request that is answered, the one that has been quiet longest first. */
  private readonly quiet = new Set<Socket>();
  /** Requests under way on a connection that are not probes. */
  private readonly busy = new Map<Socket, number>();
  private readonly refused = new WeakSet<IncomingMessage>();
  private max = 0;
  private maxBusy = 0;
  private readonly counts: PlaceCounts;
  private open = 0;

  /** At most `max` connections at once. */
  constructor(max: number, counts: PlaceCounts) {
    this.limit(max);
    this.counts = counts;
  }

  /** At most `max` from now on; those that are open stay. */
  limit(max: number): void {
    this.max = max;
    this.maxBusy = max - Math.ceil(max / PLACES_A_PROBE);
  }

  /** Keeps the places of `server`. */
  keep(server: Server): void {
    server.on('connection', (socket) => this.accept(socket));
    // Before whoever answers.
    server.prependListener('request', (request, response) => this.begin(request, response));
  }

  /** The request came while others held all places that are not left to probes. */
  isRefused(request: IncomingMessage): boolean {
    return this.refused.has(request);
  }

  private accept(socket: Socket): void {
    this.open += 1;
    this.counts.open += 1;
    this.quiet.add(socket);
    socket.once('close', () => {
      this.open -= 1;
      this.counts.open -= 1;
      this.quiet.delete(socket);
      this.busy.delete(socket);
    });
    if (this.open <= this.max) return;
    // There is always one: the connection that has just come.
    for (const oldest of this.quiet) {
      this.quiet.delete(oldest);
      this.counts.quiet += 1;
      oldest.destroy();
      return;
    }
  }

  private begin(request: IncomingMessage, response: ServerResponse): void {
    const { socket } = request;
    if (this.quiet.delete(socket)) this.quiet.add(socket);
    if (PROBES.has(pathOf(request.url))) return;
    const before = this.busy.get(socket) ?? 0;
    if (before === 0 && this.busy.size >= this.maxBusy) {
      this.refused.add(request);
      this.counts.busy += 1;
      return;
    }
    this.quiet.delete(socket);
    this.busy.set(socket, before + 1);
    response.once('close', () => this.end(socket));
  }

  private end(socket: Socket): void {
    const left = (this.busy.get(socket) ?? 0) - 1;
    if (left > 0) {
      this.busy.set(socket, left);
      return;
    }
    this.busy.delete(socket);
    if (!socket.destroyed) this.quiet.add(socket);
  }
}
