/** Routes, limits, access lists, access lines and the admin API by what client certificates say. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { parse } from 'yaml';
import { type ClientPair, makeAuthority } from '../support/authority.ts';
import { connectAioquic, getHead, missingAioquic } from '../support/client/aioquic.ts';
import { type Edge, missingAddon, startEdge } from '../support/edge.ts';
import { type Behaviour, startH2Origin } from '../support/origin/h2.ts';
import { until } from '../support/wait.ts';

const skip = missingAddon || missingAioquic;

const ok: Behaviour = (stream) => stream.respond({ ':status': 200 }, { endStream: true });

/** Statuses of GETs of a client that shows a certificate, or none. */
async function gets(t: Test, edge: Edge, pair: ClientPair | undefined, paths: readonly string[], name = 'localhost'): Promise<number[]> {
  const shown = pair === undefined ? {} : { chain: pair.chain, key: pair.key };
  const client = await connectAioquic(t, edge.port, { servername: name, ca: undefined, ...shown });
  const statuses: number[] = [];
  for (const path of paths) {
    const head = getHead(edge.port, path).map(([key, value]): [string, string] => [
      key,
      key === ':authority' ? `${name}:${edge.port}` : value,
    ]);
    statuses.push(await client.status(await client.request(head)));
  }
  return statuses;
}

t.test('what tls.md shows of rules by certificate does what the page tells', { skip }, async (t) => {
  const page = readFileSync(join(import.meta.dirname, '../../docs/tls.md'), 'utf8');
  const [, block = ''] = /### Rules by certificate.*?```yaml\n(.*?)```/s.exec(page) ?? [];
  const authority = makeAuthority(t.testdir(), 'own');
  const issue = (name: string, names: string) => authority.issue(name, { names });
  const partner = issue('partner', 'URI:spiffe://example.org/web/1,URI:spiffe://example.org/x');
  const device = issue('device', 'DNS:other.test,DNS:a.b.Devices.example.org');
  const alice = issue('alice', 'DNS:devices.example.org');
  const denied = issue('alice', 'URI:spiffe://example.org/denied');
  const urls = Object.fromEntries(
    await Promise.all(
      Object.entries({ partners: 201, devices: 202, web: 200 }).map(async ([name, status]) => {
        const { url } = await startH2Origin(t, (stream) => stream.respond({ ':status': status }, { endStream: true }));
        return [name, { backends: [{ url }] }];
      }),
    ),
  );
  const edge = await startEdge(t, {
    backends: [],
    listener: { tls: { client_certificates: { mode: 'optional', ca: [authority.ca] } } },
    config: { upstreams: urls, ...parse(block.replace('0'.repeat(64), denied.fingerprint)) },
  });
  const paths = ['/', '/orders', '/orders', '/orders'];
  t.same(await gets(t, edge, partner, paths), [201, 200, 200, 429]);
  t.same(await gets(t, edge, device, paths), [202, 403, 403, 403]);
  t.same(await gets(t, edge, alice, paths), [200, 200, 200, 429], 'each certificate has a bucket');
  t.same(await gets(t, edge, denied, paths), [200, 403, 403, 403]);
  t.same(await gets(t, edge, undefined, paths), [200, 403, 403, 403]);
  t.same(await gets(t, edge, partner, ['/orders']), [429], 'on another connection too');
});

t.test('who was not verified is taken for nobody but the holder of a key', { skip }, async (t) => {
  const folder = t.testdir();
  const [authority, stranger] = [makeAuthority(folder, 'own'), makeAuthority(folder, 'own')];
  const names = { names: 'URI:spiffe://example.org/web,DNS:web.test' };
  const [real, forged] = [authority.issue('web', names), stranger.issue('web', names)];
  const origin = await startH2Origin(t, ok);
  const wanted = (conditions: object) => ({ upstream: 'web', access: { client_certificates: [conditions] } });
  const conditions = [
    { verdict: 'verified' },
    { uri: 'spiffe://example.org/web' },
    { dns: 'web.test' },
    { subject: { present: true } },
    { issuer: { present: true } },
    { verdict: 'unverified', fingerprint: forged.fingerprint },
  ];
  const edge = await startEdge(t, {
    backends: [origin.url],
    listener: {
      tls: { client_certificates: { mode: 'required', ca: [authority.ca] } },
      client_certificates: [{ names: ['any.test'], mode: 'any' }],
    },
    config: { routes: conditions.map((one, place) => ({ match: { path: `/${place}` }, ...wanted(one) })) },
  });
  const paths = conditions.map((_, place) => `/${place}`);
  t.same(await gets(t, edge, real, paths), [200, 200, 200, 200, 200, 403]);
  t.same(await gets(t, edge, forged, paths, 'any.test'), [403, 403, 403, 403, 403, 200]);
  t.same(await gets(t, edge, real, paths, 'any.test'), [403, 403, 403, 403, 403, 403], 'nobody verified it there');
});

t.test('access lines and the list of connections say whose certificate it was', { skip }, async (t) => {
  const authority = makeAuthority(t.testdir(), 'own');
  const pair = authority.issue('a "quoted" name');
  const origin = await startH2Origin(t, ok);
  const listener = { tls: { client_certificates: { mode: 'optional', ca: [authority.ca] } } };
  const log = { access: { client_certificates: true } };
  const edge = await startEdge(t, { backends: [origin.url], listener, config: { log } });
  t.same(await gets(t, edge, pair, ['/one']), [200]);
  t.same(await gets(t, edge, undefined, ['/two']), [200]);
  const lines = await until('two access lines', () => (edge.access().length === 2 ? edge.access() : null));
  const told = {
    verdict: 'verified',
    fingerprint: pair.fingerprint,
    serial: pair.serial,
    subject: String.raw`O=Example,CN=a \"quoted\" name`,
  };
  t.same(lines.find(({ path }) => path === '/one')?.['client_certificate'], told);
  t.notOk('client_certificate' in lines.find(({ path }) => path === '/two')!);
  const { connections } = (await edge.ask('/v1/connections')) as { connections: { clientCertificate: unknown }[] };
  const shown = connections.map(({ clientCertificate }) => clientCertificate);
  t.same(
    shown.filter((one) => one !== null),
    [told],
  );
  t.ok(shown.includes(null));
});

t.test('without the key lines tell nothing of certificates', { skip }, async (t) => {
  const pair = makeAuthority(t.testdir(), 'own').issue('a');
  const origin = await startH2Origin(t, ok);
  const edge = await startEdge(t, { backends: [origin.url], listener: { tls: { client_certificates: { mode: 'any' } } } });
  t.same(await gets(t, edge, pair, ['/']), [200]);
  const [line] = await until('an access line', () => (edge.access().length === 1 ? edge.access() : null));
  t.notOk('client_certificate' in line!);
});
