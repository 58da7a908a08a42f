/**
 * The metrics of the whole process as one prom-client registry. Nothing is kept here: every family
 * reads the shards' tables, the backend table and the reactors' counters at the moment of the
 * scrape.
 *
 * Series are bounded: labels are names of the configuration, reasons of the registry and shard
 * numbers. Route, backend and listener series are sums over the shards; what says how a shard is
 * doing has it as a label. A reason's series appears with its first failure.
 */

import { type Metric, Registry } from 'prom-client';
import { REASONS } from '../base/errors.ts';
import { NOTES, type NoteCode, noteNumber } from '../base/notes.ts';
import { floatOf, IN_FLIGHT_WORD, LATENCY_EWMA_F64, wordOf } from '../base/tables.ts';
import { backendsOf, listenersOf, upstreamsOf } from '../config/numbering/in-use.ts';
import type { Snapshot } from '../config/snapshot/snapshot.ts';
import type { BackendSnapshot } from '../config/snapshot/upstream.ts';
import type { BindingAddon, BindingFamily } from '../native/binding.ts';
import { APPLY_BUCKETS, BATCH_BUCKETS, type Buckets, DECIDE_BUCKETS, DURATION_BUCKETS, LATENESS_BUCKETS } from './buckets.ts';
import {
  BACKEND_ATTEMPTS,
  BACKEND_REASONS,
  BACKEND_RETRIES,
  CounterLayout,
  NO_UPSTREAM_LABEL,
  PHASES,
  ROUTE_BYTES_IN,
  ROUTE_BYTES_OUT,
  ROUTE_DURATION,
  ROUTE_REASONS,
  ROUTE_STATUS,
  SHARD_APPLY,
  SHARD_BATCH,
  SHARD_DECIDE,
  SHARD_FAILURES,
  SHARD_HEAP_BYTES,
  SHARD_LATENESS,
  SHARD_LINES,
  SHARD_LINES_LOST,
  SHARD_LOOP_UTILIZATION,
  STATUS_CLASSES,
} from './counters.ts';
import { FAMILIES, type Family } from './families.ts';
import { LOSSES } from './output.ts';

export interface RegistryParts {
  readonly addon: Pick<BindingAddon, 'families' | 'reactorCounters' | 'certificateHandshakes' | 'clientCertificatesEnded'>;
  readonly snapshot: Snapshot;
  /** One table a shard, made by `createCounters`. */
  readonly counters: readonly SharedArrayBuffer[];
  readonly backendTable: SharedArrayBuffer;
}

type Labels = Readonly<Record<string, string>>;

/** One line of a scrape. */
interface Value {
  readonly labels: Record<string, string | number>;
  readonly value: number;
  readonly metricName?: string;
}

/** A registry to which others may add their own metrics. */
export function createRegistry(parts: RegistryParts): Registry {
  const registry = new Registry();
  const register = (family: Family, read: () => Value[]) => registry.registerMetric(new TableMetric(family, read) as unknown as Metric);
  const { snapshot } = parts;
  const tables = parts.counters.map((memory) => new Float64Array(memory));
  const layout = new CounterLayout(snapshot);

  registerRoutes(register, layout, tables);
  registerListeners(register, layout, tables, snapshot);
  registerBackends(register, layout, tables, parts);
  registerNotes(register, layout, tables, snapshot);
  registerShards(register, tables);
  registerCertificates(register, parts.addon);
  registerEnded(register, parts.addon);
  registerReactors(register, parts.addon, tables.length);
  return registry;
}

type Register = (family: Family, read: () => Value[]) => void;

/** A metric as prom-client's registry asks it; the registry needs no more than this of a Metric. */
class TableMetric {
  readonly name: string;
  readonly help: string;
  readonly type: string;
  readonly aggregator = 'sum';
  private readonly read: () => Value[];

  constructor(family: Family, read: () => Value[]) {
    this.name = family.name;
    this.help = family.help;
    this.type = family.kind;
    this.read = read;
  }

  async get(): Promise<{ name: string; help: string; type: string; aggregator: string; values: Value[] }> {
    const { name, help, type, aggregator } = this;
    return { name, help, type, aggregator, values: this.read() };
  }

  /** Counters belong to their writers. */
  reset(): void {}
}

function registerRoutes(register: Register, layout: CounterLayout, tables: readonly Float64Array[]): void {
  const routes = layout.routeSeries.map(({ label, at }) => ({ labels: { route: label }, at }));
  register(FAMILIES.requests, () =>
    routes.flatMap(({ labels, at }) =>
      STATUS_CLASSES.map((status, i) => ({ labels: { ...labels, status_class: status }, value: sum(tables, at + ROUTE_STATUS + i) })),
    ),
  );
  register(FAMILIES.requestFailures, () => routes.flatMap(({ labels, at }) => reasonValues(tables, labels, at + ROUTE_REASONS)));
  register(FAMILIES.requestDuration, () =>
    routes.flatMap(({ labels, at }) => histogram(FAMILIES.requestDuration.name, labels, DURATION_BUCKETS, tables, at + ROUTE_DURATION)),
  );
  const bytes = (place: number) => () => routes.map(({ labels, at }) => ({ labels, value: sum(tables, at + place) }));
  register(FAMILIES.routeBytesIn, bytes(ROUTE_BYTES_IN));
  register(FAMILIES.routeBytesOut, bytes(ROUTE_BYTES_OUT));
}

function registerListeners(register: Register, layout: CounterLayout, tables: readonly Float64Array[], snapshot: Snapshot): void {
  register(FAMILIES.phases, () =>
    listenersOf(snapshot).flatMap(([listener, { name }]) =>
      PHASES.flatMap((phase, i) => {
        const at = layout.listenerAt(listener) + i * DURATION_BUCKETS.stride;
        return histogram(FAMILIES.phases.name, { listener: name, phase }, DURATION_BUCKETS, tables, at);
      }),
    ),
  );
}

function registerBackends(register: Register, layout: CounterLayout, tables: readonly Float64Array[], parts: RegistryParts): void {
  const backends = backendLabels(backendsOf(parts.snapshot)).map(({ slot, labels }) => ({ labels, slot, at: layout.backendAt(slot) }));
  const count = (place: number) => () => backends.map(({ labels, at }) => ({ labels, value: sum(tables, at + place) }));
  register(FAMILIES.attempts, count(BACKEND_ATTEMPTS));
  register(FAMILIES.retries, count(BACKEND_RETRIES));
  register(FAMILIES.attemptFailures, () => backends.flatMap(({ labels, at }) => reasonValues(tables, labels, at + BACKEND_REASONS)));

  const words = new Int32Array(parts.backendTable);
  const floats = new Float64Array(parts.backendTable);
  register(FAMILIES.inFlight, () =>
    backends.map(({ labels, slot }) => ({ labels, value: Atomics.load(words, wordOf(slot, IN_FLIGHT_WORD)) })),
  );
  register(FAMILIES.latency, () =>
    backends.map(({ labels, slot }) => ({ labels, value: floats[floatOf(slot, LATENCY_EWMA_F64)]! * 1e-6 })),
  );
}

/**
 * Decisions that are not the plain one: what lanes noted. Every upstream has its series from the
 * start.
 */
function registerNotes(register: Register, layout: CounterLayout, tables: readonly Float64Array[], snapshot: Snapshot): void {
  const named = upstreamsOf(snapshot).map(([number, { name }]): [number, string] => [number, name]);
  const upstreams = [...named, [-1, NO_UPSTREAM_LABEL] as const].map(([number, upstream]) => ({
    upstream,
    at: layout.notesAt(number),
    reasonsAt: layout.retriedAt(number),
  }));
  const counts = (family: Family, label: string | undefined, codes: readonly (readonly [NoteCode, string])[]) =>
    register(family, () =>
      upstreams.flatMap(({ upstream, at }) =>
        codes.flatMap(([code, name]) => {
          const value = sum(tables, at + noteNumber(code));
          // An increase can only be seen of what is there before it.
          return value === 0 && upstream === NO_UPSTREAM_LABEL
            ? []
            : [{ labels: { upstream, ...(label === undefined ? {} : { [label]: name }) }, value }];
        }),
      ),
    );
  const codesOf = (prefix: string): [NoteCode, string][] =>
    NOTES.filter(({ code }) => code.startsWith(prefix)).map(({ code }) => [code, code.slice(prefix.length)]);
  register(FAMILIES.retriedFailures, () => upstreams.flatMap(({ upstream, reasonsAt }) => reasonValues(tables, { upstream }, reasonsAt)));
  counts(FAMILIES.retriesDenied, 'denial', codesOf('retry_denied_'));
  counts(FAMILIES.hedges, 'outcome', codesOf('hedge_'));
  counts(FAMILIES.queued, undefined, [['queued', '']]);
  counts(FAMILIES.fallbacks, undefined, [['fallback_used', '']]);
  counts(FAMILIES.stickyMoves, undefined, [['sticky_moved', '']]);
  counts(FAMILIES.hashTables, undefined, [['hash_table_built', '']]);
  const ofNone = layout.notesAt(-1);
  register(FAMILIES.underscores, () =>
    codesOf('underscore_')
      .filter(([, outcome]) => outcome !== 'met')
      .map(([code, outcome]) => ({ labels: { outcome }, value: sum(tables, ofNone + noteNumber(code)) })),
  );
}

function registerShards(register: Register, tables: readonly Float64Array[]): void {
  const number = (family: Family, place: number) =>
    register(family, () => tables.map((table, shard) => ({ labels: { shard: String(shard) }, value: table[place]! })));
  const buckets = (family: Family, place: number, of: Buckets) =>
    register(family, () => tables.flatMap((table, shard) => histogram(family.name, { shard: String(shard) }, of, [table], place)));
  buckets(FAMILIES.decideDuration, SHARD_DECIDE, DECIDE_BUCKETS);
  buckets(FAMILIES.decideRecords, SHARD_BATCH, BATCH_BUCKETS);
  number(FAMILIES.decideFailures, SHARD_FAILURES);
  buckets(FAMILIES.loopDelay, SHARD_LATENESS, LATENESS_BUCKETS);
  buckets(FAMILIES.applyDuration, SHARD_APPLY, APPLY_BUCKETS);
  number(FAMILIES.loopUtilization, SHARD_LOOP_UTILIZATION);
  number(FAMILIES.heap, SHARD_HEAP_BYTES);
  number(FAMILIES.lines, SHARD_LINES);
  register(FAMILIES.linesDropped, () =>
    tables.flatMap((table, shard) =>
      LOSSES.map((reason, place) => ({ labels: { shard: String(shard), reason }, value: table[SHARD_LINES_LOST + place]! })),
    ),
  );
}

/** Handshakes by certificate; the labels are names of the configuration. */
function registerCertificates(register: Register, addon: RegistryParts['addon']): void {
  register(FAMILIES.certificateHandshakes, () =>
    addon
      .certificateHandshakes()
      .flatMap(({ listener, certificate, ...counts }) =>
        Object.entries(counts).map(([outcome, value]) => ({ labels: { listener, certificate, outcome }, value })),
      ),
  );
}

/** Connections that were ended for their client's certificate; every reason has a series. */
function registerEnded(register: Register, addon: RegistryParts['addon']): void {
  register(FAMILIES.clientCertificatesEnded, () =>
    addon.clientCertificatesEnded().map(({ count, ...labels }) => ({ labels, value: count })),
  );
}

/** What the addon describes, with the shard as a further label. */
function registerReactors(register: Register, addon: RegistryParts['addon'], shards: number): void {
  const copies = scrapeCopies(addon, shards);
  for (const family of addon.families()) {
    const { name, help, labels, offset, stride } = family;
    const kind = family.kind as Family['kind'];
    const labelNames = ['shard', ...Object.keys(labels[0] ?? {})];
    const read = () =>
      copies().flatMap((copy, shard) =>
        copy === undefined
          ? []
          : labels.flatMap((own, series) => reactorValues(family, { shard: String(shard), ...own }, copy, offset + series * stride)),
      );
    register({ name, help, kind, labels: labelNames }, read);
  }
}

function reactorValues(family: BindingFamily, labels: Labels, copy: Float64Array, at: number): Value[] {
  if (family.kind === 'histogram') {
    // The addon gives bounds in base units already, unlike counts and sums.
    const { name, scale } = family;
    return histogram(name, labels, { bounds: family.bounds.map((bound) => bound / scale), scale }, [copy], at);
  }
  return [{ labels, value: copy[at]! * family.scale }];
}

/**
 * Copies of all reactors' counters, taken once a scrape: the families of one scrape are asked in
 * one go.
 */
function scrapeCopies(addon: RegistryParts['addon'], shards: number): () => readonly (Float64Array | undefined)[] {
  let copies: readonly (Float64Array | undefined)[] | undefined;
  return () => {
    if (copies === undefined) {
      copies = Array.from({ length: shards }, (_, shard) => copyOf(addon, shard));
      queueMicrotask(() => {
        copies = undefined;
      });
    }
    return copies;
  };
}

/** Before a reactor is made and after it is gone it has no counters. */
function copyOf(addon: RegistryParts['addon'], shard: number): Float64Array | undefined {
  try {
    return addon.reactorCounters(shard);
  } catch {
    return undefined;
  }
}

/** Bucket, sum and count lines of the histogram at `at`, summed over `tables`. */
function histogram(
  name: string,
  labels: Labels,
  shape: { readonly bounds: readonly number[]; readonly scale: number },
  tables: readonly Float64Array[],
  at: number,
): Value[] {
  const values: Value[] = [];
  let count = 0;
  for (const [i, bound] of [...shape.bounds, Number.POSITIVE_INFINITY].entries()) {
    count += sum(tables, at + i);
    values.push({
      metricName: `${name}_bucket`,
      labels: { ...labels, le: bound === Number.POSITIVE_INFINITY ? '+Inf' : decimal(bound * shape.scale) },
      value: count,
    });
  }
  values.push({ metricName: `${name}_sum`, labels, value: sum(tables, at + shape.bounds.length + 1) * shape.scale });
  values.push({ metricName: `${name}_count`, labels, value: count });
  return values;
}

/** Non-zero reasons of a block. */
function reasonValues(tables: readonly Float64Array[], labels: Labels, at: number): Value[] {
  return REASONS.flatMap(({ code }, place) => {
    const value = sum(tables, at + place);
    return value === 0 ? [] : [{ labels: { ...labels, reason: code }, value }];
  });
}

function sum(tables: readonly Float64Array[], at: number): number {
  let total = 0;
  for (const table of tables) total += table[at]!;
  return total;
}

/** A bound without the noise of its scaling: 2500 × 1e-6 is 0.0025. */
function decimal(value: number): string {
  return String(Number(value.toPrecision(12)));
}

/** Upstream and URL; a URL that an upstream has twice is told apart by its slot. */
function backendLabels(backends: readonly BackendSnapshot[]): { slot: number; labels: Labels }[] {
  const seen = new Set<string>();
  return backends.map(({ upstream, url, slot }) => {
    const key = `${upstream} ${url}`;
    const backend = seen.has(key) ? `${url}#${slot}` : url;
    seen.add(key);
    return { slot, labels: { upstream, backend } };
  });
}
