/**
 * A backend that fails is left alone, tried with a few requests, and used again; what is left
 * serves meanwhile.
 */

import t from 'tap';
import { connectH3 } from '../support/client/h3.ts';
import { type Edge, missingAddon, startEdge } from '../support/edge.ts';
import { answers } from '../support/origin/behaviours.ts';
import { startH2Origin } from '../support/origin/h2.ts';
import { until } from '../support/wait.ts';

const eventsOf = (edge: Edge): unknown[] => edge.log.filter((line) => 'event' in line).map((line) => line['event']);

interface Shown {
  readonly state: string;
  readonly breaker: string;
  readonly ejections: number;
  readonly lastFailure: { readonly reason: string; readonly status: number } | null;
}

async function backends(edge: Edge): Promise<readonly Shown[]> {
  const { upstreams } = (await edge.ask('/v1/upstreams')) as { upstreams: { backends: Shown[] }[] };
  return upstreams[0]?.backends ?? [];
}

t.test('one of two backends that answers 500 loses its share, is probed, and gets it back', { skip: missingAddon }, async (t) => {
  const ill = await startH2Origin(t, answers('ill', 500));
  const well = await startH2Origin(t, answers('well'));
  const edge = await startEdge(t, {
    backends: [ill.url, well.url],
    shards: 2,
    upstream: {
      balance: { policy: 'round-robin' },
      breaker: { consecutive: 3, statuses: ['5xx'], eject: '300ms', max_eject: '300ms', probes: 1, successes: 2 },
    },
  });
  const client = await connectH3(t, edge.port);
  const statuses: number[] = [];
  for (let i = 0; i < 40; i++) statuses.push((await client.exchange()).status);
  t.ok(statuses.filter((status) => status === 500).length <= 6, 'three, and a probe or two');
  t.match(await backends(edge), [{ ejections: /^[1-9]/, lastFailure: { reason: 'response_status', status: 500 } }, { state: 'up' }]);

  ill.behave = answers('well again');
  await until('the breaker is closed', async () => {
    await client.exchange();
    return (await backends(edge))[0]?.breaker === 'closed';
  });
  const texts = await Promise.all(Array.from({ length: 20 }, async () => (await client.exchange()).text));
  t.equal(texts.filter((text) => text === 'well again').length, 10, 'its half');
  const events = eventsOf(edge).filter((event) => String(event).startsWith('breaker'));
  t.equal(events[0], 'breaker_opened');
  t.strictSame(events.slice(-2), ['breaker_half_opened', 'breaker_closed']);
});

t.test('an upstream whose only backend is ejected answers 503 without asking it', { skip: missingAddon }, async (t) => {
  const ill = await startH2Origin(t, answers('ill', 503));
  const edge = await startEdge(t, { backends: [ill.url], upstream: { breaker: { consecutive: 2, eject: '5m' } }, route: { retries: 0 } });
  const client = await connectH3(t, edge.port);
  for (let i = 0; i < 2; i++) t.equal((await client.exchange()).text, 'ill');
  const refused = await until('the breaker is open', async () => {
    const response = await client.exchange();
    return response.text === 'ill' ? null : response;
  });
  t.equal(refused.status, 503);
  t.match(JSON.parse(refused.text), { error: 'circuit_open' });
  const seconds = Number(refused.headers['retry-after']);
  t.ok(seconds > 200 && seconds <= 300, `what is left of five minutes: ${seconds} s`);
  const asked = ill.requests;
  for (let i = 0; i < 5; i++) t.equal((await client.exchange()).status, 503);
  t.equal(ill.requests, asked);
});

t.test('a backend that asks for a pause by Retry-After gets one', { skip: missingAddon }, async (t) => {
  const busy = await startH2Origin(t, answers('busy', 503, { 'retry-after': '60' }));
  const free = await startH2Origin(t, answers('free'));
  const edge = await startEdge(t, {
    backends: [busy.url, free.url],
    upstream: { balance: { policy: 'round-robin' }, breaker: { consecutive: 'none' } },
    route: { retries: 0 },
  });
  const client = await connectH3(t, edge.port);
  await until('it is held off', async () => {
    await client.exchange();
    return eventsOf(edge).includes('backend_held_off');
  });
  const asked = busy.requests;
  for (let i = 0; i < 20; i++) t.equal((await client.exchange()).text, 'free');
  t.equal(busy.requests, asked);
  t.match(await backends(edge), [{ state: 'held-off' }, { state: 'up' }]);
});
