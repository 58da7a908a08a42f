import { readFileSync, writeFileSync } from 'node:fs';
import { Gauge, type Metric, Registry } from 'prom-client';
import t, { type Test } from 'tap';
import { NOTES } from '../../src/base/notes.ts';
import { addAdminMetrics, noCounts } from '../../src/control/admin/places.ts';
import { addCertificateMetrics, addTrustMetrics } from '../../src/control/metrics/certificates.ts';
import { addEventMetric } from '../../src/control/metrics/events.ts';
import { addLimitMetrics } from '../../src/control/metrics/limits.ts';
import { addReloadMetrics } from '../../src/control/metrics/reloads.ts';
import { addRestartMetric } from '../../src/control/metrics/restarts.ts';
import { addStandingMetrics } from '../../src/control/metrics/standing.ts';
import { createShortages } from '../../src/control/shortages.ts';
import { createSharedState } from '../../src/lane/shared.ts';
import { FAMILIES } from '../../src/observe/families.ts';
import { createLog } from '../../src/observe/log.ts';
import { type DescribedFamily, errorsPage, eventsPage, metricsPage } from '../../src/observe/reference.ts';
import { addon, skip } from '../support/addon.ts';
import { sampleSnapshot } from '../support/snapshots.ts';

const isWriting = process.env['WRITE_REFERENCE'] === '1';

/** Holds a page of docs against its text, or writes it. */
function agree(t: Test, name: string, text: string): void {
  const file = new URL(`../../docs/${name}`, import.meta.url);
  if (isWriting) writeFileSync(file, text);
  t.equal(readFileSync(file, 'utf8'), text, `docs/${name} is up to date (WRITE_REFERENCE=1 writes it)`);
}

t.test('docs/errors.md is the error registry', async (t) => {
  agree(t, 'errors.md', errorsPage());
});

t.test('docs/events.md is the registry of notes', async (t) => {
  agree(t, 'events.md', eventsPage());
});

t.test('notes are numbered without holes', async (t) => {
  t.strictSame(
    NOTES.map(({ number }) => number),
    NOTES.map((_, place) => place),
  );
});

t.test('docs/metrics.md lists every family there is', { skip }, async (t) => {
  const source = readFileSync(new URL('../../native/core/src/base/counters.rs', import.meta.url), 'utf8');
  const inSource = new Set([...source.matchAll(/"(lychgate_[a-z_]+)"/g)].map(([, name]) => name));
  const inAddon = new Set(addon!.families().map(({ name }) => name));
  // A page written from an addon of yesterday would lose what is new.
  if (!t.strictSame(inSource, inAddon, 'the addon is built from counters.rs as it is (make native)')) return;
  agree(t, 'metrics.md', metricsPage(reactorFamilies(), mainFamilies()));
});

t.test('every family has help, the prefix and a unit where it has one', async (t) => {
  for (const { name, help, kind } of Object.values(FAMILIES)) {
    t.match(name, /^lychgate_[a-z_]+$/);
    t.equal(kind === 'counter', name.endsWith('_total'), name);
    t.match(help, /\.$/, name);
  }
});

t.test('reasons are the same list in the reactor', { skip }, async (t) => {
  const { REASONS } = await import('../../src/base/errors.ts');
  t.strictSame(
    addon!.reasons().map(({ number, code }) => `${number} ${code}`),
    REASONS.map(({ number, code }) => `${number} ${code}`),
  );
});

function reactorFamilies(): DescribedFamily[] {
  return addon!
    .families()
    .map(({ name, kind, help, labels }) => ({ name, kind, help, labels: ['shard', ...Object.keys(labels[0] ?? {})] }));
}

/** Families that the main thread adds to the registry itself. */
function mainFamilies(): DescribedFamily[] {
  const registry = new Registry();
  addRestartMetric(registry, { restarts: () => [] });
  addEventMetric(registry, { counts: () => [] });
  const snapshot = sampleSnapshot();
  addStandingMetrics(registry, { snapshot, shared: createSharedState(snapshot), addresses: () => 1 });
  createShortages(
    { addon: addon!, counters: [], log: createLog({ level: 'silent', isText: false, stream: { write() {} } }), nowMs: () => 0 },
    registry,
  );
  addAdminMetrics(registry, noCounts());
  const status = { since: '', serial: 1, lastResult: null, lastAt: null, staleSince: null };
  addReloadMetrics(registry, { status: () => status, idle: async () => {}, counts: () => ({}) as never, lastSuccess: () => 0 }, () => '');
  addCertificateMetrics(registry, { view: () => [], counts: () => [] });
  addTrustMetrics(registry, { view: () => new Map(), counts: () => [] });
  addLimitMetrics(registry, { snapshot, shared: createSharedState(snapshot) });
  return registry.getMetricsAsArray().map((metric) => describe(metric as unknown as Metric));
}

function describe(metric: Metric): DescribedFamily {
  const { name, help, labelNames } = metric as unknown as { name: string; help: string; labelNames: string[] };
  return { name, help, kind: metric instanceof Gauge ? 'gauge' : 'counter', labels: labelNames };
}
