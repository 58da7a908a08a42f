/** What backends are told of client certificates, and that nobody but the edge tells them. */

import { X509Certificate } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import type { IncomingHttpHeaders } from 'node:http';
import { join } from 'node:path';
import t from 'tap';
import { makeAuthority } from '../support/authority.ts';
import { type AioquicClient, connectAioquic, getHead, missingAioquic } from '../support/client/aioquic.ts';
import { type Edge, missingAddon, startEdge } from '../support/edge.ts';
import { startH1Origin, startRawOrigin } from '../support/origin/h1.ts';
import { type Behaviour, startH2Origin } from '../support/origin/h2.ts';
import { reload } from '../support/reload.ts';
import { until } from '../support/wait.ts';

const skip = missingAddon || missingAioquic;

const FIELDS = {
  verdict: 'x-client-verdict',
  fingerprint: 'x-client-fingerprint',
  serial: 'x-client-serial',
  subject: 'x-client-subject',
  issuer: 'x-client-issuer',
  names: 'x-client-names',
};
const ALL = ['client-cert', 'client-cert-chain', ...Object.values(FIELDS)];

/**
 * What pretends to tell of a certificate: the names themselves, and what CGI and its like read as
 * them.
 */
const SPOOFED = ALL.flatMap((name) => [name, name.replaceAll('-', '_'), name.replace('-', '_'), name.replace('-', '.')]);

const NAMES = 'DNS:device.test,URI:spiffe://example.org/web,email:a@example.org,IP:192.0.2.7';

/** The fields of a head that have to do with certificates, in whatever spelling. */
function telling(headers: IncomingHttpHeaders): Record<string, unknown> {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => /^(?:client.cert|x.client)/.test(name)));
}

async function ask(edge: Edge, client: AioquicClient, name: string, extra: readonly [string, string][] = []): Promise<number> {
  const head = getHead(edge.port).map(([key, value]): [string, string] => [key, key === ':authority' ? `${name}:${edge.port}` : value]);
  return client.status(await client.request([...head, ...extra]));
}

t.test('backends over HTTP/2 and HTTP/1.1 get the certificate that was shown, to the byte, and what it says', { skip }, async (t) => {
  const authority = makeAuthority(t.testdir(), 'own');
  const pair = authority.issue('device', { names: NAMES });
  const heads: IncomingHttpHeaders[] = [];
  const h2 = await startH2Origin(t, (stream, headers) => {
    heads.push(headers);
    stream.respond({ ':status': 200 }, { endStream: true });
  });
  const h1 = await startH1Origin(t, (request, response) => {
    heads.push(request.headers);
    response.end();
  });
  const leaf = new X509Certificate(readFileSync(pair.chain));
  const own = new X509Certificate(readFileSync(authority.ca));
  const both = join(t.testdirName, 'both.pem');
  writeFileSync(both, leaf.toString() + own.toString());
  for (const origin of [h2, h1]) {
    const client_certificates = { mode: 'optional', ca: [authority.ca], forward: { rfc9440: 'chain', ...FIELDS } };
    const route = { request_headers: { set: { 'x-client-owner': `\${client_certificate_subject} by \${client_certificate_issuer}` } } };
    const edge = await startEdge(t, { backends: [origin.url], listener: { tls: { client_certificates } }, route });
    const client = await connectAioquic(t, edge.port, { ca: undefined, chain: both, key: pair.key });
    heads.length = 0;
    const spoofed = SPOOFED.map((name): [string, string] => [name, 'spoofed']);
    t.equal(await ask(edge, client, 'localhost', spoofed), 200);
    t.equal(await ask(edge, client, 'localhost'), 200);
    t.equal(heads.length, 2);
    for (const headers of heads) {
      t.same(telling(headers), {
        'client-cert': `:${leaf.raw.toString('base64')}:`,
        'client-cert-chain': `:${own.raw.toString('base64')}:`,
        'x-client-verdict': 'verified',
        'x-client-fingerprint': pair.fingerprint,
        'x-client-serial': pair.serial,
        'x-client-subject': 'O=Example,CN=device',
        'x-client-issuer': 'CN=own,O=Example',
        'x-client-names': '"DNS:device.test", "URI:spiffe://example.org/web", "email:a@example.org", "IP:192.0.2.7"',
        'x-client-owner': 'O=Example,CN=device by CN=own,O=Example',
      });
    }
    const stranger = await connectAioquic(t, edge.port);
    heads.length = 0;
    t.equal(await ask(edge, stranger, 'localhost', spoofed), 200);
    t.same(heads.map(telling), [{ 'x-client-owner': 'by' }], 'of who has none nothing is told');
    t.equal((await edge.metrics()).sum('lychgate_client_certificate_fields_removed_total'), 2 * SPOOFED.length);
  }
});

t.test('fields that tell of a certificate are removed from heads and trailers of who has none to show', { skip }, async (t) => {
  const seen: { head: string[]; trailers: string[] } = { head: [], trailers: [] };
  const h2 = await startH2Origin(t, (stream, headers) => {
    seen.head = Object.keys(headers);
    stream.on('trailers', (trailers) => {
      seen.trailers = Object.keys(trailers);
    });
    stream.resume();
    stream.once('end', () => stream.respond({ ':status': 200 }, { endStream: true }));
  });
  const h1 = await startRawOrigin(t, (socket, head) => {
    const lines = head.split('\r\n').map((line) => line.split(':')[0]!.toLowerCase());
    if (head.startsWith('POST')) seen.head = lines;
    else seen.trailers = lines;
    if (!head.startsWith('POST')) socket.write('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n');
  });
  const authority = makeAuthority(t.testdir(), 'own');
  const rfc9440 = SPOOFED.filter((name) => name.startsWith('client'));
  const inner = { names: ['inner.test'], mode: 'optional', ca: [authority.ca], forward: FIELDS };
  for (const [client_certificates, spoofed] of [
    [[], rfc9440],
    [[inner], SPOOFED],
  ] as const) {
    for (const origin of [h2, h1]) {
      const edge = await startEdge(t, {
        backends: [origin.url],
        listener: { client_certificates },
        config: { claims: { underscores: 'pass' } },
      });
      const client = await connectAioquic(t, edge.port);
      const fields = spoofed.map((name): [string, string] => [name, 'spoofed']);
      const head = getHead(edge.port).map(([name, value]): [string, string] => [name, name === ':method' ? 'POST' : value]);
      const kept: [string, string] = ['x_kept', '1'];
      const stream = await client.request([...head, ...fields, kept], { fin: false });
      await client.order('data', { stream, body: 'hello', fin: false });
      await client.order('trailers', { stream, headers: [...fields, kept] });
      t.equal(await client.status(stream), 200);
      await until('the trailers came', () => seen.trailers.length > 0);
      for (const [place, names] of Object.entries(seen)) {
        t.ok(names.includes('x_kept'), `${place} came`);
        t.same(
          names.filter((name) => spoofed.includes(name)),
          [],
          place,
        );
      }
      t.equal((await edge.metrics()).sum('lychgate_client_certificate_fields_removed_total'), 2 * spoofed.length);
      [seen.head, seen.trailers] = [[], []];
    }
  }
});

t.test('who was not verified is called that, and its subject is taken for nothing', { skip }, async (t) => {
  const pair = makeAuthority(t.testdir(), 'stranger').issue('root');
  const heads: IncomingHttpHeaders[] = [];
  const origin = await startH2Origin(t, (stream, headers) => {
    heads.push(headers);
    stream.respond({ ':status': 200 }, { endStream: true });
  });
  const { verdict, fingerprint } = FIELDS;
  const client_certificates = { mode: 'any', forward: { verdict, fingerprint } };
  const route = {
    request_headers: {
      set: { 'x-client-owner': `\${client_certificate_subject}`, 'x-client-print': `\${client_certificate_fingerprint}` },
    },
  };
  const edge = await startEdge(t, { backends: [origin.url], listener: { tls: { client_certificates } }, route });
  t.equal(await ask(edge, await connectAioquic(t, edge.port, { chain: pair.chain, key: pair.key }), 'localhost'), 200);
  const printed = { 'x-client-fingerprint': pair.fingerprint, 'x-client-print': pair.fingerprint };
  t.same(heads.map(telling), [{ 'x-client-verdict': 'unverified', ...printed }]);
});

t.test('a retry and a hedge tell the same', { skip }, async (t) => {
  const authority = makeAuthority(t.testdir(), 'own');
  const pair = authority.issue('device');
  const heads: IncomingHttpHeaders[] = [];
  let first: Behaviour = () => {};
  const origins = [0, 1].map(() =>
    startH2Origin(t, (stream, headers) => {
      heads.push(headers);
      if (heads.length === 1) first(stream, headers);
      else stream.respond({ ':status': 200 }, { endStream: true });
    }),
  );
  const backends = (await Promise.all(origins)).map(({ url }) => url);
  const upstream = {
    balance: { policy: 'round-robin' },
    breaker: { consecutive: 'none' },
    hedge_budget: { ratio: '100%', min_per_second: 100 },
  };
  const client_certificates = { mode: 'required', ca: [authority.ca], forward: { rfc9440: 'certificate', subject: FIELDS.subject } };
  const told = {
    'client-cert': `:${new X509Certificate(readFileSync(pair.chain)).raw.toString('base64')}:`,
    'x-client-subject': 'O=Example,CN=device',
  };
  const fails: Behaviour = (stream) => stream.respond({ ':status': 503 }, { endStream: true });
  const hangs: Behaviour = () => {};
  for (const [behaviour, route] of [
    [fails, { retries: { attempts: 1, statuses: [503], backoff: 'none' } }],
    [hangs, { hedge: { delay: '30ms' } }],
  ] as const) {
    first = behaviour;
    heads.length = 0;
    const edge = await startEdge(t, { backends, upstream, route, listener: { tls: { client_certificates } } });
    const client = await connectAioquic(t, edge.port, { chain: pair.chain, key: pair.key });
    t.equal(await ask(edge, client, 'localhost', [['client_cert', 'spoofed']]), 200);
    t.same(heads.map(telling), [told, told]);
  }
});

t.test(
  "after a reload open connections tell what it says, and a name that is not told any more is the client's again",
  { skip },
  async (t) => {
    const authority = makeAuthority(t.testdir(), 'own');
    const pair = authority.issue('device');
    let told: Record<string, unknown> = {};
    const origin = await startH2Origin(t, (stream, headers) => {
      told = telling(headers);
      stream.respond({ ':status': 200 }, { endStream: true });
    });
    const listener = (forward: object) => ({ tls: { client_certificates: { mode: 'required', ca: [authority.ca], forward } } });
    const edge = await startEdge(t, { backends: [origin.url], listener: listener({ subject: FIELDS.subject }) });
    const client = await connectAioquic(t, edge.port, { chain: pair.chain, key: pair.key });
    const spoofed: [string, string][] = [
      [FIELDS.subject, 'spoofed'],
      [FIELDS.fingerprint, 'spoofed'],
    ];
    t.equal(await ask(edge, client, 'localhost', spoofed), 200);
    t.same(told, { [FIELDS.subject]: 'O=Example,CN=device', [FIELDS.fingerprint]: 'spoofed' }, 'nothing says what the other name means');
    edge.rewrite({ listener: listener({ fingerprint: FIELDS.fingerprint }) });
    t.equal((await reload(edge)).status, 200);
    await until('the connection tells what is to be told now', async () => {
      await ask(edge, client, 'localhost', spoofed);
      t.not(told[FIELDS.fingerprint], 'spoofed');
      return told[FIELDS.fingerprint] === pair.fingerprint;
    });
    t.equal(told[FIELDS.subject], 'spoofed');
  },
);
