import { once } from 'node:events';
import { get, type IncomingMessage } from 'node:http';
import { Registry } from 'prom-client';
import t, { type Test } from 'tap';
import { reasonNumber } from '../../src/base/errors.ts';
import { noteNumber } from '../../src/base/notes.ts';
import type { AdminParts } from '../../src/control/admin/parts.ts';
import { noCounts } from '../../src/control/admin/places.ts';
import { createAdmin } from '../../src/control/admin/server.ts';
import { createEvents, type EdgeEvent } from '../../src/control/events.ts';
import { addEventMetric } from '../../src/control/metrics/events.ts';
import { createLog } from '../../src/observe/log.ts';
import { sampleSnapshot } from '../support/snapshots.ts';

const OPENED = {
  note: noteNumber('breaker_opened'),
  upstream: 0,
  slot: 1,
  detail: reasonNumber('connect_failed'),
  atMs: 1_700_000_000_000,
};
const CLOSED = { note: noteNumber('breaker_closed'), upstream: 0, slot: 1, detail: 0, atMs: 1_700_000_001_000 };

function stand() {
  const lines: string[] = [];
  const log = createLog({ level: 'info', isText: false, stream: { write: (line) => void lines.push(line) } });
  return { events: createEvents(() => sampleSnapshot(), log.target('events')), log, lines };
}

/**
 * The admin API with `events` and nothing else of interest; `listen` opens the stream and gives a
 * reader of its frames.
 */
async function serve(t: Test) {
  const { events, log } = stand();
  const admin = createAdmin({ events, log } as unknown as AdminParts, {
    address: '127.0.0.1:0',
    token: '',
    maxConnections: 256,
    counts: noCounts(),
  });
  const address = await admin.start();
  t.teardown(() => admin.stop());
  const listen = async (query = '', headers: Record<string, string> = {}) => {
    const asked = get(`http://${address}/v1/events${query}`, { headers });
    const [response] = (await once(asked, 'response')) as [IncomingMessage];
    let text = '';
    response.setEncoding('utf8').on('data', (chunk) => {
      text += chunk;
    });
    t.teardown(() => asked.destroy());
    const frames = () => text.split('\n\n').filter((frame) => frame.startsWith('id: '));
    const until = async (count: number) => {
      while (frames().length < count) await once(response, 'data');
      return frames();
    };
    await once(response, 'data');
    return { response, until, frames, body: () => text };
  };
  return { admin, events, listen };
}

t.test('events are counted by upstream and name, whoever noted them', async (t) => {
  const { events } = stand();
  const registry = new Registry();
  addEventMetric(registry, events);
  for (const event of [OPENED, CLOSED, OPENED]) events.note(event);
  events.note({ note: noteNumber('health_down'), upstream: 0, slot: 1, detail: 0, text: 'status 500' });
  events.note({ note: noteNumber('weight_changed'), upstream: -1, slot: -1, detail: 0, text: 'shop: 1, 2' });
  const counted = (await registry.metrics()).split('\n').filter((line) => line.startsWith('lychgate_events_total'));
  t.strictSame(counted, [
    'lychgate_events_total{upstream="web",event="breaker_opened"} 2',
    'lychgate_events_total{upstream="web",event="breaker_closed"} 1',
    'lychgate_events_total{upstream="web",event="health_down"} 1',
    'lychgate_events_total{upstream="(none)",event="weight_changed"} 1',
  ]);
});

t.test('an event names what it concerns and why', async (t) => {
  const { events, lines } = stand();
  const seen: EdgeEvent[] = [];
  const stop = events.subscribe((event) => void seen.push(event));
  events.note(OPENED);
  stop();
  events.note(CLOSED);
  t.strictSame(seen, [
    {
      id: 1,
      at: '2023-11-14T22:13:20.000Z',
      event: 'breaker_opened',
      upstream: 'web',
      backend: 'h2c://127.0.0.1:9001',
      reason: 'connect_failed',
    },
  ]);
  t.match(JSON.parse(lines[0]!), { target: 'events', event: 'breaker_opened', backend: 'h2c://127.0.0.1:9001' });
  t.equal(lines.length, 2, 'every event has its line in the log');
});

t.test('a listener that comes late gets what is kept', async (t) => {
  const { events } = stand();
  events.note(OPENED);
  events.note(CLOSED);
  const seen: number[] = [];
  events.subscribe(({ id }) => void seen.push(id), 1);
  t.strictSame(seen, [2]);
});

t.test('a listener that throws breaks neither the source nor the others', async (t) => {
  const { events } = stand();
  const seen: number[] = [];
  events.subscribe(() => {
    throw new Error('listener broke');
  });
  events.subscribe(({ id }) => void seen.push(id));
  events.note(OPENED);
  t.strictSame(seen, [1]);
});

t.test('the stream carries events as they happen', async (t) => {
  const { events, listen } = await serve(t);
  const { response, until } = await listen();
  t.match(response.headers, { 'content-type': 'text/event-stream' });
  events.note(OPENED);
  const [frame] = await until(1);
  t.match(frame, /^id: 1\nevent: breaker_opened\ndata: \{"id":1,/);
});

t.test('a stream that was lost goes on where it stopped', async (t) => {
  const { events, listen } = await serve(t);
  events.note(OPENED);
  events.note(CLOSED);
  const { until } = await listen('', { 'last-event-id': '1' });
  t.match(await until(1), [/^id: 2\nevent: breaker_closed/]);
});

t.test('a stream can be narrowed to kinds and upstreams', async (t) => {
  const { events, listen } = await serve(t);
  const kinds = await listen('?event=breaker_closed,health_up');
  const others = await listen('?upstream=web&event=health_up');
  events.note(OPENED);
  events.note(CLOSED);
  t.match(await kinds.until(1), [/event: breaker_closed/]);
  t.strictSame(others.frames(), []);
});

t.test('an event, an upstream or an id that cannot be is refused at once, with what was meant', async (t) => {
  const { listen } = await serve(t);
  for (const [query, detail] of [
    [
      '?event=breaker_open',
      /^event: "breaker_open" is no event; did you mean breaker_opened\?; expected some of retried, breaker_opened, /,
    ],
    ['?event=health_up,', /^event: "" is no event/],
    ['?event=retried,nonsense', /^event: "nonsense" is no event/],
    ['?event=hash_table_built', /^event: "hash_table_built" is no event/],
    ['?upstream=nobody', /^upstream: "nobody" is no upstream of this edge; expected one of web$/],
    ['?after=yesterday', /^after: "yesterday" is no id of an event/],
  ] as const) {
    const { response, body } = await listen(query);
    t.equal(response.statusCode, 400, query);
    const { error, detail: said } = JSON.parse(body());
    t.equal(error, 'value_not_valid');
    t.match(said, detail);
  }
});

t.test('stopping the admin API ends the streams', async (t) => {
  const { admin, listen } = await serve(t);
  const { response } = await listen();
  await Promise.all([once(response, 'close'), admin.stop()]);
  t.ok(response.complete);
});
