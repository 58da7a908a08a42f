/**
 * Sums and buckets of histograms are in the same unit, whoever counts and whoever writes them: on a
 * real edge, after real traffic.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { connectAioquic, getHead, missingAioquic } from '../support/client/aioquic.ts';
import { connectH3 } from '../support/client/h3.ts';
import { missingAddon, startEdge } from '../support/edge.ts';
import { freePort } from '../support/free-port.ts';
import type { Metrics } from '../support/metrics.ts';
import { answers, byPath, pours } from '../support/origin/behaviours.ts';
import { startH2Origin } from '../support/origin/h2.ts';
import { reload } from '../support/reload.ts';
import { until } from '../support/wait.ts';

/** One series of a histogram. */
interface Series {
  /** Upper bounds with what was counted up to each, the last of which is infinite. */
  readonly buckets: [bound: number, upTo: number][];
  sum: number;
  count: number;
}

function histograms(metrics: Metrics): Map<string, Series[]> {
  const families = [...metrics.text.matchAll(/^# TYPE (\S+) histogram$/gm)].map(([, name]) => name ?? '');
  return new Map(families.map((name) => [name, seriesOf(metrics, name)]));
}

function seriesOf(metrics: Metrics, name: string): Series[] {
  const found = new Map<string, Series>();
  const of = (labels: Readonly<Record<string, string>>): Series => {
    const key = JSON.stringify(Object.entries(labels).filter(([label]) => label !== 'le'));
    const series = found.get(key) ?? { buckets: [], sum: Number.NaN, count: Number.NaN };
    found.set(key, series);
    return series;
  };
  for (const [labels, value] of metrics.series(`${name}_bucket`))
    of(labels).buckets.push([Number(labels['le']?.replace('+Inf', 'Infinity')), value]);
  for (const [labels, value] of metrics.series(`${name}_sum`)) of(labels).sum = value;
  for (const [labels, value] of metrics.series(`${name}_count`)) of(labels).count = value;
  return [...found.values()];
}

/** What is wrong with a series; empty when nothing is. */
function wrong({ buckets, sum, count }: Series): string {
  let [least, most, below, before] = [0, 0, 0, 0];
  for (const [bound, upTo] of buckets) {
    const here = upTo - before;
    if (here < 0 || bound < below) return `buckets do not rise at ${bound}`;
    least += here * below;
    if (here > 0) most += here * bound;
    [below, before] = [bound, upTo];
  }
  if (buckets.at(-1)?.[0] !== Number.POSITIVE_INFINITY || before !== count) return `${count} were counted, ${before} in buckets`;
  // Sums are made of many small numbers.
  const slack = 1e-9 * Math.max(1, most === Number.POSITIVE_INFINITY ? least : most);
  if (least > sum + slack || sum > most + slack) return `the sum ${sum} is not from ${least} to ${most}`;
  return '';
}

t.test(
  'the sum of every histogram lies within what its buckets allow',
  { skip: missingAddon || missingAioquic, timeout: 60_000 },
  async (t) => {
    const origin = await startH2Origin(
      t,
      byPath({ '/': answers('ok'), '/much': pours(1 << 20), '/slow': (stream) => setTimeout(() => answers('late')(stream, {}), 300) }),
    );
    const gone = `h2c://127.0.0.1:${await freePort()}`;
    // Half of the attempts fail and are made again.
    const edge = await startEdge(t, {
      backends: [gone, origin.url],
      upstream: { balance: { policy: 'round-robin' }, breaker: { consecutive: 'none' } },
    });
    const lasting = await connectAioquic(t, edge.port);
    const client = await connectH3(t, edge.port);
    for (let place = 0; place < 20; place += 1) t.equal((await client.exchange()).status, 200);
    t.equal((await client.exchange({ path: '/much' })).body.length, 1 << 20);
    await Promise.all(Array.from({ length: 10 }, () => client.exchange({ path: '/slow' })));
    t.equal(await lasting.status(await lasting.request(getHead(edge.port))), 200);
    await sleep(1_100);
    await lasting.order('close');
    await client.close();
    await until('both to be closed', async () => (await edge.metrics()).sum('lychgate_connection_duration_seconds_count') === 2);
    t.ok((await edge.metrics()).sum('lychgate_connection_duration_seconds_sum') > 1, 'one lived for longer than a second');

    edge.rewrite({ config: { drain: { timeout: '7s' } } });
    t.equal((await reload(edge)).status, 200);

    // A shard counts while its numbers are copied: a sum may be one observation ahead of its
    // buckets, but not for ever.
    let found: string[] = [];
    const isSound = await until('sums that fit', async () => {
      const all = histograms(await edge.metrics());
      found = [...all].flatMap(([name, series]) =>
        series
          .map(wrong)
          .filter(Boolean)
          .map((what) => `${name}: ${what}`),
      );
      return found.length === 0;
    }).catch(() => false);
    t.ok(isSound, found.join('\n'));
    const unused = [...histograms(await edge.metrics())]
      .filter(([, series]) => !series.some(({ count }) => count > 0))
      .map(([name]) => name);
    t.same(unused, [], 'traffic was counted in all of them');
  },
);
