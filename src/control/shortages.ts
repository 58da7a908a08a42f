/**
 * What there was too little of: descriptors, socket buffers, a standard output that takes every
 * line, connections. Each is counted where it happens; here it is looked at once a second and told,
 * at most once a minute, with the limit to raise.
 */
import { closeSync, openSync, readdirSync, readFileSync, statSync, writeSync } from 'node:fs';
import type { Registry } from 'prom-client';
import type { BindingAddon } from '../native/binding.ts';
import { SHARD_LINES_LOST } from '../observe/counters.ts';
import type { Family } from '../observe/families.ts';
import type { Log } from '../observe/log.ts';
import { LOSSES, type Loss } from '../observe/output.ts';
import { addFamily } from './metrics/add-family.ts';

const LOOK_MS = 1_000;
/** The same is told again after so long at the earliest. */
const TELL_MS = 60_000;

/** The families as the reference page describes them. */
const SHORTAGE_FAMILIES = {
  open: family('lychgate_descriptors', 'gauge', 'Descriptors that the process has open: sockets, files, timers.', []),
  limit: family('lychgate_descriptors_limit', 'gauge', 'Descriptors that it may have open (RLIMIT_NOFILE).', []),
  missing: family(
    'lychgate_descriptor_shortages_total',
    'counter',
    'Seconds at whose end no descriptor could be opened: connections of the admin API are not accepted meanwhile, health checks and lookups fail.',
    [],
  ),
  lines: family('lychgate_log_lines_dropped_total', 'counter', 'Lines of the log, access lines aside, that standard output did not take.', [
    'reason',
  ]),
} as const;

export interface ShortageParts {
  readonly addon: Pick<BindingAddon, 'families' | 'reactorCounters'>;
  /** The shards' tables. */
  readonly counters: readonly SharedArrayBuffer[];
  readonly log: Log;
  readonly nowMs: () => number;
  /** Says a line where the log cannot. Default: to standard error. */
  readonly cry?: (line: string) => void;
}

export interface Shortages {
  start(): void;
  /** Looks once more, and tells what is left to tell whenever it was told last. */
  stop(): void;
}

/** One thing there can be too little of. */
interface Shortage {
  /** How often it has been so far. */
  readonly count: () => number;
  readonly tell: (count: number) => void;
  told: number;
  toldMs: number;
}

/** Makes the watch and adds its families to `registry`. */
export function createShortages(parts: ShortageParts, registry: Registry): Shortages {
  const { addon, log, nowMs, cry = toStandardError } = parts;
  const logger = log.target('limits');
  const { limit, hardLimit } = descriptorLimits();
  const tables = parts.counters.map((buffer) => new Float64Array(buffer));
  const offsets = new Map(addon.families().map(({ name, offset, labels }) => [name, { offset, labels }]));
  let missing = 0;
  let timer: NodeJS.Timeout | undefined;

  const shortages: Shortage[] = [
    shortage(
      () => missing + sumOf('lychgate_upstream_connects_total', 'no_descriptor'),
      (count) =>
        logger.error({ count, limit }, 'no descriptor was left for a connection or a file: raise LimitNOFILE= of the service or ulimit -n'),
    ),
    shortage(
      () => sumOf('lychgate_receive_buffer_overflows_total'),
      (datagrams) =>
        logger.warn(
          { datagrams },
          'datagrams were lost to full receive buffers: raise listeners[].quic.receive_buffer and net.core.rmem_max',
        ),
    ),
    shortage(
      () => sumOf('lychgate_send_buffer_full_total'),
      (count) =>
        logger.warn({ count }, 'send buffers were full and connections waited: raise listeners[].quic.send_buffer and net.core.wmem_max'),
    ),
    shortage(
      () => refusedFor('connection_limit'),
      (count) => logger.warn({ count }, 'connections were refused: a listener has max_connections of them'),
    ),
    shortage(
      () => refusedFor('client_limit'),
      (count) =>
        logger.warn(
          { count },
          'connections were refused: a client has per_client.max_connections of its listener; /v1/connections shows who has how many',
        ),
    ),
    ...LOSSES.map((loss, place) =>
      shortage(
        () => log.lost[loss] + tables.reduce((sum, table) => sum + table[SHARD_LINES_LOST + place]!, 0),
        // Not to the log, which is what does not get through.
        (lines) => cry(`lychgate: ${lines} lines of the log were lost: ${LOSS_TEXTS[loss]}\n`),
      ),
    ),
  ];

  addFamily(registry, SHORTAGE_FAMILIES.open, (put) => put({}, openDescriptors()));
  addFamily(registry, SHORTAGE_FAMILIES.limit, (put) => put({}, limit));
  addFamily(registry, SHORTAGE_FAMILIES.missing, (put) => put({}, missing));
  addFamily(registry, SHORTAGE_FAMILIES.lines, (put) => {
    for (const reason of LOSSES) put({ reason }, log.lost[reason]);
  });

  return {
    start() {
      logger.info({ limit, hardLimit }, 'limit of open descriptors');
      timer = setInterval(() => {
        if (!canOpen()) missing += 1;
        look(TELL_MS);
      }, LOOK_MS).unref();
    },
    stop() {
      clearInterval(timer);
      look(0);
    },
  };

  function look(intervalMs: number): void {
    for (const one of shortages) {
      const count = one.count();
      if (count <= one.told || nowMs() - one.toldMs < intervalMs) continue;
      one.tell(count - one.told);
      one.told = count;
      one.toldMs = nowMs();
    }
  }

  /** First datagrams that got no answer, because there were too many, count as well. */
  function refusedFor(reason: string): number {
    return sumOf('lychgate_connections_refused_total', reason) + sumOf('lychgate_datagrams_dropped_total', reason);
  }

  /** Sums a family of the reactors, or one series of it. */
  function sumOf(name: string, label?: string): number {
    const found = offsets.get(name);
    if (found === undefined) return 0;
    const place = label === undefined ? 0 : found.labels.findIndex((labels) => Object.values(labels).includes(label));
    return tables.reduce((sum, _, shard) => sum + countersOf(shard, found.offset + place), 0);
  }

  /** Before a reactor is made and after it is gone it has no counters. */
  function countersOf(shard: number, place: number): number {
    try {
      return addon.reactorCounters(shard)[place] ?? 0;
    } catch {
      return 0;
    }
  }
}

const LOSS_TEXTS: Readonly<Record<Loss, string>> = {
  slow: 'the reader of standard output is too slow',
  full: 'the disk that standard output goes to is full',
  closed: 'the reader of standard output has gone',
  error: 'standard output cannot be written',
};

function shortage(count: () => number, tell: (count: number) => void): Shortage {
  return { count, tell, told: 0, toldMs: Number.NEGATIVE_INFINITY };
}

/** Node raises the limit to the hard one when it starts. */
function descriptorLimits(): { limit: number; hardLimit: number } {
  const found = /^Max open files\s+(\d+|unlimited)\s+(\d+|unlimited)/m.exec(readFileSync('/proc/self/limits', 'utf8'));
  const [limit, hardLimit] = [found?.[1], found?.[2]].map((text) => Number(text ?? 0) || Number.POSITIVE_INFINITY);
  return { limit: limit!, hardLimit: hardLimit! };
}

/** Linux has the number as the directory's size since 6.2. */
function openDescriptors(): number {
  return statSync('/proc/self/fd').size || readdirSync('/proc/self/fd').length;
}

function toStandardError(line: string): void {
  try {
    writeSync(2, line);
  } catch {
    // Nobody listens there either.
  }
}

function canOpen(): boolean {
  try {
    closeSync(openSync('/dev/null', 'r'));
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return code !== 'EMFILE' && code !== 'ENFILE';
  }
}

function family(name: string, kind: Family['kind'], help: string, labels: readonly string[]): Family {
  return { name, kind, help, labels };
}
