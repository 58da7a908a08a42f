/**
 * NTLM and Negotiate: the backend believes a connection, not a request. Two clients behind one edge
 * are never taken for each other, whoever comes after whom, and what one of them had at the backend
 * ends with its connection.
 */

import type { Socket } from 'node:net';
import t, { type Test } from 'tap';
import { connectH3 } from '../support/client/h3.ts';
import { missingAddon, startEdge } from '../support/edge.ts';
import { type H1Origin, startRawOrigin } from '../support/origin/h1.ts';
import { startH2Origin } from '../support/origin/h2.ts';
import { until } from '../support/wait.ts';

const skip = missingAddon;

/**
 * NTLM's three messages, as far as a backend tells them apart: it answers the first with a
 * challenge of the connection's, and believes the answer to that one only.
 */
async function startNtlmOrigin(t: Test): Promise<H1Origin> {
  const challenges = new Map<Socket, string>();
  const identities = new Map<Socket, string>();
  let made = 0;
  return startRawOrigin(t, (socket, head) => {
    const [, credentials = ''] = /^authorization: NTLM (.*)$/im.exec(head) ?? [];
    const [message, name, answered] = credentials.split(':');
    if (message === 'hello') {
      identities.delete(socket);
      challenges.set(socket, `challenge${++made}`);
      return socket.write(`HTTP/1.1 401 Who\r\nWWW-Authenticate: NTLM ${challenges.get(socket)}\r\nContent-Length: 0\r\n\r\n`);
    }
    if (message === 'proof' && answered !== undefined && answered === challenges.get(socket)) identities.set(socket, name ?? '');
    const identity = identities.get(socket);
    if (identity === undefined)
      return socket.write('HTTP/1.1 401 Who\r\nWWW-Authenticate: Negotiate\r\nWWW-Authenticate: NTLM\r\nContent-Length: 0\r\n\r\n');
    return socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${identity.length}\r\n\r\n${identity}`);
  });
}

type Client = Awaited<ReturnType<typeof connectH3>>;

/** The dance of a client that is asked: hello, challenge, proof. */
async function prove(t: Test, client: Client, name: string): Promise<void> {
  t.equal((await client.exchange()).status, 401, `${name} is not known`);
  const hello = await client.exchange({ headers: { authorization: 'NTLM hello' } });
  t.equal(hello.status, 401);
  const challenge = String(hello.headers['www-authenticate']).replace('NTLM ', '');
  t.match(challenge, /^challenge\d+$/);
  const proof = await client.exchange({ headers: { authorization: `NTLM proof:${name}:${challenge}` } });
  t.match(proof, { status: 200, text: name });
}

t.test('two clients of a backend that believes connections are never taken for each other', { skip }, async (t) => {
  const origin = await startNtlmOrigin(t);
  const edge = await startEdge(t, { backends: [origin.url] });
  const alice = await connectH3(t, edge.port);
  const bob = await connectH3(t, edge.port);
  await prove(t, alice, 'alice');
  t.equal((await bob.exchange()).status, 401, 'he gets no session that is hers');
  await prove(t, bob, 'bob');
  for (let round = 0; round < 10; round++) {
    const [hers, his] = await Promise.all([alice.exchange(), bob.exchange()]);
    t.strictSame([hers.text, his.text], ['alice', 'bob']);
  }
  t.equal(origin.sockets.size, 2);
  // Many at once get sessions of which the backend believes nothing, or their client's own, never
  // another's.
  const many = await Promise.all(
    Array.from({ length: 40 }, async (_, n) => ({ n, response: await (n % 2 === 0 ? alice : bob).exchange() })),
  );
  for (const { n, response } of many) {
    t.ok(response.status === 401 || response.text === (n % 2 === 0 ? 'alice' : 'bob'), `${response.status} ${response.text}`);
  }
  const before = await edge.metrics();
  t.ok(before.sum('lychgate_upstream_bound_sessions') >= 2);
  t.ok(before.sum('lychgate_upstream_connection_auth_total', { outcome: 'bound' }) >= 2);

  await alice.close();
  await until('her sessions end with her connection', async () => (await edge.metrics()).sum('lychgate_upstream_bound_sessions') <= 4);
  t.equal((await bob.exchange()).text, 'bob', 'his go on');
  await bob.close();
  // Of the many that were opened at once some may have found nobody to serve: they are nobody's and
  // stay.
  await until('and his with his', async () => (await edge.metrics()).sum('lychgate_upstream_bound_sessions') === 0);
  await until('the backend sees it', async () => origin.sockets.size === (await edge.metrics()).sum('lychgate_upstream_sessions'));
  const carol = await connectH3(t, edge.port);
  t.equal((await carol.exchange()).status, 401);
  t.equal(edge.log.filter((line) => line['event'] === 'connection_auth').length, 1, 'told once');
});

t.test('a client has no more sessions of its own than the configuration grants', { skip }, async (t) => {
  const origin = await startNtlmOrigin(t);
  const edge = await startEdge(t, { backends: [origin.url], upstream: { pool: { max_bound: 1, bound_idle: '10s' } } });
  const alice = await connectH3(t, edge.port);
  await Promise.all(Array.from({ length: 10 }, () => alice.exchange()));
  await until('one is left', async () => (await edge.metrics()).sum('lychgate_upstream_bound_sessions') === 1);
  const metrics = await edge.metrics();
  const count = (outcome: string) => metrics.sum('lychgate_upstream_connection_auth_total', { outcome });
  t.equal(count('in_excess'), count('bound') - 1);
  await alice.close();
});

t.test('over HTTP/2 clients are not asked for what only a connection of their own could have', { skip }, async (t) => {
  const origin = await startH2Origin(t, (stream) => {
    stream.respond({ ':status': 401, 'www-authenticate': ['Negotiate', 'NTLM', 'Basic realm="here"'] }, { endStream: true });
  });
  const edge = await startEdge(t, { backends: [origin.url] });
  const client = await connectH3(t, edge.port);
  const response = await client.exchange();
  t.equal(response.status, 401);
  t.equal(response.headers['www-authenticate'], 'Basic realm="here"');
  t.equal((await client.exchange()).status, 401);
  t.equal((await edge.metrics()).sum('lychgate_upstream_connection_auth_total', { outcome: 'challenge_removed' }), 2);
  t.equal(edge.log.filter((line) => line['event'] === 'connection_auth').length, 1);
});
