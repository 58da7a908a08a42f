import { createHash, X509Certificate } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import t from 'tap';
import { createHttpAsk } from '../../src/control/health/ask-http.ts';
import type { Question } from '../../src/control/health/question.ts';
import { certificates, issueClientCertificate } from '../support/certificates.ts';
import { startH1Origin } from '../support/origin/h1.ts';
import { startH2Origin, startH2TlsOrigin } from '../support/origin/h2.ts';
import { until, within } from '../support/wait.ts';

const question = (given: Partial<Question> = {}): Question => ({
  protocol: 'h2',
  scheme: 'h2c',
  method: 'GET',
  path: '/healthz?deep',
  authority: 'web.test:9000',
  serverName: 'localhost',
  caPem: '',
  isVerified: true,
  clientCertificate: undefined,
  minTlsVersion: '1.2',
  maxTlsVersion: '1.3',
  pins: [],
  timeoutMs: 5_000,
  bodyBytes: 65_536,
  ...given,
});

const never = new AbortController().signal;

t.test('HTTP/2 in clear text is spoken by prior knowledge, as the authority that is wished, and the connection is closed', async (t) => {
  const asked: unknown[] = [];
  const origin = await startH2Origin(t, (stream, headers) => {
    asked.push([headers[':method'], headers[':path'], headers[':authority'], headers['user-agent']]);
    stream.respond({ ':status': 200 });
    stream.end('all is well');
  });
  const ask = createHttpAsk(question());
  t.strictSame(await ask('127.0.0.1', origin.port, never), { status: 200, body: 'all is well' });
  t.strictSame(asked, [['GET', '/healthz?deep', 'web.test:9000', 'lychgate-health']]);
  await until('the connection is gone', () => origin.sessions.size === 0);
  await ask('127.0.0.1', origin.port, never);
  t.equal(origin.accepted, 2, 'a connection a check');
});

t.test('HTTP/2 over TLS is verified as traffic is: by CA and server name', async (t) => {
  const origin = await startH2TlsOrigin(t, (stream, headers) => {
    stream.respond({ ':status': 200 });
    stream.end(`${headers[':authority']}`);
  });
  const tls = { scheme: 'https', caPem: certificates().ca } as const;
  t.match(await createHttpAsk(question(tls))('127.0.0.1', origin.port, never), { status: 200, body: 'web.test:9000' });
  t.match(await createHttpAsk(question({ ...tls, serverName: '127.0.0.1' }))('127.0.0.1', origin.port, never), { status: 200 });
  await t.rejects(createHttpAsk(question({ ...tls, serverName: 'other.test' }))('127.0.0.1', origin.port, never));
  await t.rejects(createHttpAsk(question({ scheme: 'https' }))('127.0.0.1', origin.port, never), 'nobody knows the CA');
  const careless = createHttpAsk(question({ scheme: 'https', serverName: 'other.test', isVerified: false }));
  t.match(await careless('127.0.0.1', origin.port, never), { status: 200 });
});

t.test('a check shows the certificate of the upstream, speaks its versions and wants its pins, as traffic does', async (t) => {
  const { ca, spki } = certificates();
  const { chain, key } = issueClientCertificate('checker');
  const origin = await startH2TlsOrigin(
    t,
    (stream) => {
      stream.respond({ ':status': 200 });
      stream.end('well');
    },
    { ca, requestCert: true, rejectUnauthorized: true, minVersion: 'TLSv1.3' },
  );
  const tls = { scheme: 'https', caPem: ca, clientCertificate: { chainPem: chain, keyPem: key } } as const;
  const ask = (more: Partial<Question>) => createHttpAsk(question({ ...tls, ...more }))('127.0.0.1', origin.port, never);
  const ofCa = new X509Certificate(ca).publicKey.export({ type: 'spki', format: 'der' });
  const pinOfCa = createHash('sha256').update(ofCa).digest('base64');
  for (const pins of [[], [spki], [pinOfCa], [`${'A'.repeat(43)}=`, spki]]) t.match(await ask({ pins }), { body: 'well' });
  await t.rejects(ask({ pins: [`${'A'.repeat(43)}=`] }), { message: 'no certificate of the chain has a pinned key' });
  await t.rejects(ask({ clientCertificate: undefined }));
  await t.rejects(ask({ maxTlsVersion: '1.2' }));
});

t.test('HTTP/1.1 is spoken where it is asked for, and where TLS does not agree on HTTP/2', async (t) => {
  const plain = await startH1Origin(t, (request, response) => response.end(`${request.httpVersion} ${request.headers.host}`));
  const ask = createHttpAsk(question({ protocol: 'http/1.1', scheme: 'http' }));
  t.strictSame(await ask('127.0.0.1', plain.port, never), { status: 200, body: '1.1 web.test:9000' });
  await until('the connection is gone', () => plain.sockets.size === 0);
  const both = await startH2TlsOrigin(
    t,
    (stream) => {
      stream.respond({ ':status': 200 });
      stream.end('2');
    },
    { allowHTTP1: true },
  );
  const tls = { scheme: 'https', caPem: certificates().ca } as const;
  t.match(await createHttpAsk(question(tls))('127.0.0.1', both.port, never), { body: '2' });
});

t.test('no more of a body is read than is wanted', async (t) => {
  const origin = await startH2Origin(t, (stream) => {
    stream.on('error', () => {});
    stream.respond({ ':status': 200 });
    stream.write('x'.repeat(200_000));
  });
  const reply = await createHttpAsk(question())('127.0.0.1', origin.port, never);
  t.equal(reply.body.length, 65_536);
  t.strictSame(await createHttpAsk(question({ bodyBytes: 0 }))('127.0.0.1', origin.port, never), { status: 200, body: '' });
});

t.test('a backend that refuses, stays silent or is cut off in the middle is a failure that leaves nothing open', async (t) => {
  const silent = createServer((socket) => void socket.on('error', () => {}).resume());
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
  t.teardown(() => silent.close());
  const { port } = silent.address() as AddressInfo;
  for (const protocol of ['h2', 'http/1.1'] as const) {
    const late = new AbortController();
    setTimeout(() => late.abort(new Error('too late')), 50);
    const asked = createHttpAsk(question({ protocol }))('127.0.0.1', port, late.signal);
    await t.rejects(within(5_000, 'the check ends', asked), protocol);
  }
  const count = () => new Promise<number>((resolve) => silent.getConnections((_, open) => resolve(open)));
  await until('no connection is left', async () => (await count()) === 0);
  const origin = await startH2Origin(t, (stream) => stream.session?.destroy());
  await t.rejects(within(5_000, 'the check ends', createHttpAsk(question())('127.0.0.1', origin.port, never)));
  const gone = createServer();
  await new Promise<void>((resolve) => gone.listen(0, '127.0.0.1', resolve));
  const free = (gone.address() as AddressInfo).port;
  await new Promise((resolve) => gone.close(resolve));
  await t.rejects(createHttpAsk(question())('127.0.0.1', free, never), { code: 'ECONNREFUSED' });
});
