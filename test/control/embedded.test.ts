/**
 * The edge in a program of one's own: entered by `src/edge.ts`, which the package exports as
 * `lychgate/edge`.
 */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { stringify } from 'yaml';
import { createEdge, createLog, type EdgeEvent, loadAddon, loadSnapshot, redact } from '../../src/edge.ts';
import { connectH3 } from '../support/client/h3.ts';
import { configuration, missingAddon } from '../support/edge.ts';
import { isSilent, resets } from '../support/origin/behaviours.ts';
import { startH2Origin } from '../support/origin/h2.ts';
import { until } from '../support/wait.ts';

t.test(
  'who embeds the edge hears of retries, timeouts, bulkheads and fallbacks, once a second at most',
  { skip: missingAddon },
  async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'lychgate-embedded-'));
    t.teardown(() => rmSync(folder, { recursive: true, force: true }));
    const broken = await startH2Origin(t, resets());
    const silent = await startH2Origin(t, isSilent);
    const config = {
      upstreams: {
        broken: {
          backends: [{ url: broken.url }, { url: `${broken.url.replace('127.0.0.1', 'localhost')}` }],
          breaker: { consecutive: 'none' },
        },
        silent: { backends: [{ url: silent.url }], breaker: { consecutive: 'none' } },
        one: { backends: [{ url: silent.url }], limits: { in_flight: 1 } },
      },
      routes: [
        { match: { path: '/broken' }, upstream: 'broken', fallback: { respond: { status: 200, body: 'later' } } },
        { match: { path: '/silent' }, upstream: 'silent', timeouts: { head: '50ms' } },
        { match: { path: '/one' }, upstream: 'one', timeouts: { head: '500ms' } },
      ],
    };
    const file = join(folder, 'edge.yaml');
    writeFileSync(file, stringify(configuration({ backends: [], config })));
    const { config: read, snapshot, problems } = await loadSnapshot(file);
    t.same(problems, []);
    if (read === undefined || snapshot === undefined) throw new Error('no snapshot');
    const log = createLog({ level: 'silent', isText: false, stream: { write() {} } });
    const edge = createEdge({ addon: loadAddon(), snapshot, log }, { shownConfig: redact(read) });
    const seen: EdgeEvent[] = [];
    edge.events.subscribe((event) => void seen.push(event));
    await edge.start();
    t.teardown(() => edge.stop());
    const address = edge.status().listeners[0]?.address ?? '';
    const client = await connectH3(t, Number(address.slice(address.lastIndexOf(':') + 1)));

    const all = await Promise.all(Array.from({ length: 10 }, () => client.exchange({ path: '/broken' })));
    t.ok(all.every(({ text }) => text === 'later'));
    t.equal((await client.exchange({ path: '/silent' })).status, 504);
    const two = await Promise.all([client.exchange({ path: '/one' }), client.exchange({ path: '/one' })]);
    t.same(two.map(({ status }) => status).sort(), [503, 504]);
    const of = (name: string) => seen.filter(({ event }) => event === name);
    for (const [name, upstream] of [
      ['retried', 'broken'],
      ['fallback_used', 'broken'],
      ['timed_out', 'silent'],
      ['turned_away', 'one'],
    ] as const)
      t.match(await until(`${name} is told`, () => of(name)[0] ?? null), { event: name, upstream });
    t.match(of('turned_away')[0], { reason: 'upstream_full' });
    t.match(of('timed_out')[0], { reason: 'head_timeout' });
    for (const name of ['retried', 'fallback_used']) {
      const times = of(name).map(({ at }) => Date.parse(at));
      t.ok(
        times.every((time, i) => i === 0 || time - (times[i - 1] ?? 0) >= 1_000),
        `${name}: ${times.length} of 10`,
      );
    }
  },
);
