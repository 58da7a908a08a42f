/**
 * What a listener does changes while it serves: each key by itself, at once or for new connections
 * as docs/reloading.md says, and nobody is disconnected.
 */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { connectH3 } from '../support/client/h3.ts';
import { missingAddon, startEdge } from '../support/edge.ts';
import { answers, isSilent, tellsFields } from '../support/origin/behaviours.ts';
import { startH2Origin } from '../support/origin/h2.ts';
import { reload } from '../support/reload.ts';
import { until } from '../support/wait.ts';

const skip = missingAddon;

t.setTimeout(120_000);

/**
 * A value for each key that is none of its defaults; those that another test changes are left out.
 */
const OTHER: Readonly<Record<string, unknown>> = {
  'tls.unknown_name': 'refuse',
  'tls.strict': true,
  'tls.groups': ['P-256', 'X25519'],
  'tls.tickets.rotation': '1h',
  max_connections: 1_000,
  'per_client.max_connections': 900,
  'quic.idle_timeout': '20s',
  'quic.keep_alive': '5s',
  'quic.handshake_timeout': '5s',
  'quic.congestion': 'cubic',
  'quic.max_streams': 64,
  'quic.stream_window': '1MiB',
  'quic.connection_window': '4MiB',
  'quic.max_udp_payload': 1_350,
  'quic.gso': false,
  'quic.gro': false,
  'quic.pacing': false,
  'quic.receive_buffer': '1MiB',
  'quic.send_buffer': '1MiB',
  'http.max_head': '8KiB',
  'http.min_rate': 50,
  'http.min_rate_period': '30s',
  'http.max_fields': 50,
  'http.max_cookie_crumbs': 100,
  'normalise.enabled': false,
  'normalise.merge_slashes': false,
  'normalise.escaped_slashes': 'reject',
  trusted_networks: ['192.0.2.0/24'],
};

/** Tried elsewhere: listeners.test.ts, rotation.test.ts; or without meaning by themselves. */
const ELSEWHERE = [
  'name',
  'address',
  'certificates',
  'client_certificates',
  'tls.client_certificates',
  'tls.tickets.keys_file',
  'per_client.by',
  'per_client.exempt',
];

interface Schema {
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
}

function leaves(schema: Schema, path: string): string[] {
  if (schema.properties === undefined || ELSEWHERE.includes(path)) return [path];
  return Object.entries(schema.properties).flatMap(([key, inner]) => leaves(inner, path === '' ? key : `${path}.${key}`));
}

/** `{ quic: { gso: false } }` of `quic.gso`. */
function nested(path: string, value: unknown): Record<string, unknown> {
  return path
    .split('.')
    .toReversed()
    .reduce<unknown>((inner, key) => ({ [key]: inner }), value) as Record<string, unknown>;
}

t.test('every key of a listener can be changed while it serves, and who is connected stays', { skip }, async (t) => {
  const schema = JSON.parse(readFileSync(join(import.meta.dirname, '../../config/schema.json'), 'utf8')) as Schema;
  const listener = schema.properties?.['listeners']?.items as Schema;
  t.same([...Object.keys(OTHER), ...ELSEWHERE].toSorted(), leaves(listener, '').toSorted(), 'no key is forgotten');
  const origin = await startH2Origin(t, answers('ok'));
  const edge = await startEdge(t, { backends: [origin.url], shards: 2 });
  const kept = await connectH3(t, edge.port);
  for (const [path, value] of Object.entries(OTHER)) {
    edge.rewrite({ listener: nested(path, value) });
    const told = await reload(edge, true);
    const answer = await reload(edge);
    t.same([told.result, told.changes, told.restart], [answer.result, answer.changes, []], 'a dry run tells what comes of it');
    t.equal(answer.result, 'applied', `${path}: ${answer.detail ?? answer.problems.join()}`);
    t.ok(
      answer.changes.some((change) => change.path.startsWith(`listeners.public.${path}`)),
      path,
    );
    t.equal((await kept.exchange()).text, 'ok', path);
    const next = await connectH3(t, edge.port);
    t.equal((await next.exchange()).text, 'ok', path);
    await next.close();
  }
  edge.rewrite({});
  t.equal((await reload(edge)).result, 'applied');
  t.equal((await kept.exchange()).text, 'ok');
  t.notOk(kept.isGoingAway());
  const metrics = await edge.metrics();
  t.equal(metrics.sum('lychgate_shard_restarts_total'), 0);
  t.equal(metrics.sum('lychgate_panics_total'), 0);
});

t.test('limits of heads, forms of paths and trusted proxies hold at once, also on a connection that is open', { skip }, async (t) => {
  const origin = await startH2Origin(t, tellsFields);
  const edge = await startEdge(t, { backends: [origin.url], shards: 2 });
  const client = await connectH3(t, edge.port);
  const long = { path: '/a%2Fb', headers: { 'x-long': 'x'.repeat(3_000), 'x-forwarded-for': '198.51.100.7', 'x-real-ip': '198.51.100.8' } };
  const forwarded = async (): Promise<string> => JSON.parse((await client.exchange(long)).text)['x-forwarded-for'];
  t.equal(await forwarded(), '127.0.0.1');
  const change = async (listener: Record<string, unknown>, config: Record<string, unknown> = {}): Promise<void> => {
    edge.rewrite({ listener, config });
    t.equal((await reload(edge)).result, 'applied');
  };
  await change({ http: { max_head: '2KiB' } });
  t.equal((await client.exchange(long)).status, 431);
  await change({ normalise: { escaped_slashes: 'reject' } });
  t.equal((await client.exchange(long)).status, 400);
  await change({ trusted_networks: ['127.0.0.1'] });
  t.equal(await forwarded(), '198.51.100.7, 127.0.0.1');
  await change({ trusted_networks: ['127.0.0.1'] }, { claims: { client_field: 'x-real-ip' } });
  const { text } = await client.exchange({ ...long, path: '/told' });
  t.equal(JSON.parse(text)['x-real-ip'], '198.51.100.8', 'the other field is believed now');
  t.notMatch(JSON.parse(text)['x-forwarded-for'], '198.51.100.7', 'and this one is not passed on');
  await change({});
  t.equal(await forwarded(), '127.0.0.1');
});

t.test('limits of connections hold for the next one, and those that are open stay', { skip }, async (t) => {
  const origin = await startH2Origin(t, answers('ok'));
  const edge = await startEdge(t, { backends: [origin.url], shards: 2 });
  const clients = [await connectH3(t, edge.port), await connectH3(t, edge.port), await connectH3(t, edge.port)];
  const isLetIn = async (): Promise<boolean> => {
    const client = await connectH3(t, edge.port, { connectTimeoutMs: 1_000 }).catch(() => undefined);
    await client?.close();
    return client !== undefined;
  };
  for (const listener of [{ max_connections: 2 }, { per_client: { max_connections: 2 } }]) {
    t.ok(await isLetIn());
    edge.rewrite({ listener });
    t.equal((await reload(edge)).result, 'applied');
    // Who came before the limit by client was there is not counted by it.
    const counted = 'per_client' in listener ? [await connectH3(t, edge.port), await connectH3(t, edge.port)] : [];
    t.notOk(await isLetIn(), JSON.stringify(listener));
    for (const client of [...clients, ...counted]) t.equal((await client.exchange()).text, 'ok');
    for (const client of counted) await client.close();
    edge.rewrite({});
    t.equal((await reload(edge)).result, 'applied');
    await until('there is room again', isLetIn);
  }
});

t.test('limits of the process change while it serves', { skip }, async (t) => {
  const origin = await startH2Origin(t, isSilent);
  const edge = await startEdge(t, { backends: [origin.url] });
  const client = await connectH3(t, edge.port);
  const opened = [await client.open(), await client.open()];
  await until('both are open', () => origin.open === 2);
  edge.rewrite({ config: { limits: { max_exchanges: 2, max_held: '64MiB', stateless_replies: 10 } } });
  t.equal((await reload(edge)).result, 'applied');
  await t.rejects(client.exchange(), 'the third is rejected');
  const metrics = await edge.metrics();
  t.equal(metrics.sum('lychgate_requests_rejected_total', { reason: 'overloaded' }), 1);
  t.equal(metrics.sum('lychgate_held_bytes_limit'), 64 * 1024 * 1024);
  edge.rewrite({});
  t.equal((await reload(edge)).result, 'applied');
  const third = await client.open();
  await until('the third is open', () => origin.open === 3);
  for (const { stream } of [...opened, third]) stream.close();
});
