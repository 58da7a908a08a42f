/**
 * The access log: one line of JSON an exchange, written to standard output by each shard for
 * itself.
 *
 * Lines have the shape of the base log's (level, time, target, msg) and go out in batches
 * (`./output.ts`); they are put together by hand, because all their keys are known and most values
 * are numbers: 0.55 µs a line where the logger takes 2.5. What a client wrote is escaped so that a
 * line stays one line of JSON and a terminal stays a terminal.
 */

import { reasonByNumber } from '../base/errors.ts';
import { type LaneSnapshot, nameOf } from '../config/route-table.ts';
import {
  COMPLETED_BY_BACKEND,
  COMPLETED_BY_CLIENT,
  COMPLETED_CERTIFICATE_VERIFIED,
  COMPLETED_FROM_EDGE,
  COMPLETED_HEDGE_WON,
  COMPLETED_HEDGED,
  COMPLETED_SESSION_REUSED,
  NONE,
} from '../record/layout.ts';
import type { CompletionReader } from '../record/read.ts';
import { SHARD_LINES, SHARD_LINES_LOST } from './counters.ts';
import { LOSSES, Output } from './output.ts';

/** Where batches of lines go; `Output` is one. */
export type LineSink = Pick<Output, 'batchBytes' | 'write' | 'drain'>;

export interface AccessLogParts {
  readonly shard: number;
  readonly snapshot: LaneSnapshot;
  /** The shard's counters: lines written and lost are counted. */
  readonly table: Float64Array;
  /** Default: standard output. */
  readonly sink?: LineSink;
  /** Numbers of [0, 1) for the sample; default `Math.random`. */
  readonly random?: () => number;
  /** Logs that have lines to be written: this one is among them while it has. */
  readonly waiting?: Set<Pick<AccessLog, 'flush'>>;
}

export interface AccessLog {
  /** Writes a line for the exchange, if it is in the sample or a failure. */
  completed(completion: CompletionReader, route: number, slot: number, tenant: number): void;
  /** Hands what waits to the sink. */
  flush(): void;
  /** Writes what waits; resolves when it is written or lost. */
  close(): Promise<void>;
}

/** Lines wait this long for company. */
const FLUSH_MS = 100;
/** What standard output does not take within so long of a shard's end is lost. */
export const LAST_LINES_MS = 1_000;

/** As good as never, and still a small integer. */
const LONGEST_GAP = 2 ** 30;

export function createAccessLog(parts: AccessLogParts): AccessLog {
  if (!parts.snapshot.log.isAccessLogged) return { completed() {}, flush() {}, close: async () => {} };
  return new LineLog(parts, parts.sink ?? standardOutput(parts.table));
}

class LineLog implements AccessLog {
  private readonly sink: LineSink;
  private readonly random: () => number;
  private readonly sample: number;
  /** Exchanges to be passed over before the next that is logged. */
  private untilNext: number;
  private readonly areFailuresLogged: boolean;
  /**
   * Parts of a line that are the same for each listener, route, tenant and backend, with their keys
   * and commas.
   */
  private readonly listeners: readonly string[];
  private readonly routes: (string | undefined)[];
  private readonly snapshot: LaneSnapshot;
  private readonly tenants: readonly string[];
  private readonly backends: readonly string[];
  /** Lines that wait for company; ASCII, so its length is its bytes. */
  private batch = '';
  private lines = 0;
  private readonly waiting: AccessLogParts['waiting'];
  private timer: NodeJS.Timeout | undefined;
  /** Many exchanges begin in the same millisecond, and a date is the dearest part of a line. */
  private lastMs = Number.NaN;
  private lastTime = '';

  constructor(parts: AccessLogParts, sink: LineSink) {
    const { snapshot } = parts;
    this.sink = sink;
    this.waiting = parts.waiting;
    this.random = parts.random ?? Math.random;
    this.sample = snapshot.log.accessSample;
    this.areFailuresLogged = snapshot.log.areFailuresAlwaysLogged;
    this.untilNext = this.gap();
    this.listeners = snapshot.listeners.map(
      ({ name }) => `"target":"access","msg":"exchange","shard":${parts.shard},"listener":${quoted(name)}`,
    );
    this.snapshot = snapshot;
    this.routes = new Array<undefined>(snapshot.routes.length).fill(undefined);
    this.tenants = snapshot.tenants.map(({ name }) => `,"tenant":${quoted(name)}`);
    this.backends = snapshot.backends.map(({ upstream, url }) => `,"upstream":${quoted(upstream)},"backend":${quoted(url)}`);
  }

  completed(completion: CompletionReader, route: number, slot: number, tenant: number): void {
    if (!this.isLogged(completion)) return;
    const line = this.line(completion, route, slot, tenant);
    if (this.batch.length + line.length > this.sink.batchBytes) this.flush();
    this.batch += line;
    if (this.lines === 0) this.waiting?.add(this);
    this.lines += 1;
    this.timer ??= setTimeout(() => {
      this.timer = undefined;
      this.flush();
    }, FLUSH_MS).unref();
  }

  close(): Promise<void> {
    clearTimeout(this.timer);
    this.flush();
    return this.sink.drain(LAST_LINES_MS);
  }

  flush(): void {
    if (this.lines > 0) this.sink.write(this.batch, this.lines);
    this.waiting?.delete(this);
    this.batch = '';
    this.lines = 0;
  }

  private isLogged(completion: CompletionReader): boolean {
    if (this.areFailuresLogged && (completion.reason !== 0 || completion.status >= 500)) return true;
    if (this.untilNext > 0) {
      this.untilNext -= 1;
      return false;
    }
    this.untilNext = this.gap();
    return true;
  }

  /**
   * How many exchanges lie between two of the sample: drawn once a line (by the geometric
   * distribution) instead of one draw an exchange.
   */
  private gap(): number {
    if (this.sample >= 1) return 0;
    if (this.sample <= 0) return Number.POSITIVE_INFINITY;
    return Math.min(LONGEST_GAP, Math.floor(Math.log1p(-this.random()) / Math.log1p(-this.sample)));
  }

  private line(done: CompletionReader, route: number, slot: number, tenant: number): string {
    const text = done.text();
    const method = done.requestIdLength;
    const authority = method + done.methodLength;
    const path = authority + done.authorityLength;
    const agent = path + done.pathLength;
    const certificate = agent + done.userAgentLength;
    return (
      `{"level":"info","time":"${this.time(done.startedMs)}",${this.listeners[done.listener] ?? '"target":"access","msg":"exchange"'}` +
      `,"id":${quoted(text.slice(0, method))},"method":${quoted(text.slice(method, authority))}` +
      `,"authority":${quoted(text.slice(authority, path))},"path":${quoted(text.slice(path, agent))}` +
      `,"status":${done.status}${this.reason(done)}${this.routes[route] ?? this.routePart(route)}${this.tenants[tenant] ?? ''}${this.backends[slot] ?? ''}` +
      `,"attempts":${done.attempts}${done.backendStatus === 0 ? '' : `,"backend_status":${done.backendStatus}`}${extras(done)}` +
      `,"decide_ms":${done.decideUs / 1_000},"open_ms":${done.openUs / 1_000},"send_ms":${done.sendUs / 1_000}` +
      `,"await_ms":${done.awaitUs / 1_000},"total_ms":${done.totalUs / 1_000}` +
      `,"bytes_in":${done.bytesIn},"bytes_out":${done.bytesOut}` +
      `,"peer":"${done.peerAddress()}","port":${done.peerPort},"connection":${done.connection},"rtt_us":${done.rttUs}` +
      `,"session_reused":${(done.flags & COMPLETED_SESSION_REUSED) !== 0}` +
      `,"user_agent":${quoted(text.slice(agent, certificate))}${certificateText(done, text, certificate)}}\n`
    );
  }

  /** Of a route that had no line yet. */
  private routePart(route: number): string {
    const { routes } = this.snapshot;
    if (route < 0 || route >= routes.length) return '';
    const part = `,"route":${quoted(nameOf(routes, route))}`;
    this.routes[route] = part;
    return part;
  }

  private time(ms: number): string {
    if (ms !== this.lastMs) {
      this.lastMs = ms;
      this.lastTime = new Date(ms).toISOString();
    }
    return this.lastTime;
  }

  private reason(done: CompletionReader): string {
    if (done.reason === 0) return '';
    return `,"reason":"${reasonByNumber(done.reason).code}","ended_by":"${endedBy(done.flags)}"`;
  }
}

/** Of clients that showed a certificate, where lines are to tell it. */
function certificateText(done: CompletionReader, text: string, at: number): string {
  if (done.certificateLength === 0) return '';
  const [fingerprint = '', serial = '', subject = ''] = text.slice(at).split('\n');
  const verdict = (done.flags & COMPLETED_CERTIFICATE_VERIFIED) === 0 ? 'unverified' : 'verified';
  return `,"client_certificate":{"verdict":"${verdict}","fingerprint":"${fingerprint}","serial":"${serial}","subject":${quoted(subject)}}`;
}

/** What only some exchanges have: a gRPC status, a hedge and who won. */
function extras(done: CompletionReader): string {
  const grpc = done.grpcStatus === NONE ? '' : `,"grpc_status":${done.grpcStatus}`;
  if ((done.flags & COMPLETED_HEDGED) === 0) return grpc;
  return `${grpc},"hedge":"${(done.flags & COMPLETED_HEDGE_WON) === 0 ? 'wasted' : 'won'}"`;
}

function endedBy(flags: number): string {
  if ((flags & COMPLETED_BY_CLIENT) !== 0) return 'client';
  if ((flags & COMPLETED_BY_BACKEND) !== 0) return 'backend';
  return (flags & COMPLETED_FROM_EDGE) !== 0 ? 'edge' : 'none';
}

const UNSAFE = /[^ !#-[\]-~]/;
const NOT_ASCII = /[\u007f-\uffff]/g;

/**
 * A JSON string in ASCII: what JSON would let through and a terminal would obey is escaped as well.
 */
function quoted(text: string): string {
  if (!UNSAFE.test(text)) return `"${text}"`;
  return JSON.stringify(text).replace(NOT_ASCII, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** Standard output, with the shard's counts of lines. */
export function standardOutput(table: Float64Array): Output {
  const add = (place: number, lines: number) => {
    table[place] = table[place]! + lines;
  };
  return new Output({
    onWritten: (lines) => add(SHARD_LINES, lines),
    onLost: (lines, loss) => add(SHARD_LINES_LOST + LOSSES.indexOf(loss), lines),
  });
}
