/** Connections whose certificate does not pass any more, because something changed or ran out. */

import { join } from 'node:path';
import t from 'tap';
import { type ClientPair, makeAuthority, timeFromNow } from '../support/authority.ts';
import { getHead, missingAioquic } from '../support/client/aioquic.ts';
import { alert, ask, connectAs, ended, GONE_MS, get, gone, put, served, startOrigin, told } from '../support/client-certificates.ts';
import { missingAddon, startEdge } from '../support/edge.ts';
import { startH2Origin } from '../support/origin/h2.ts';
import { reload } from '../support/reload.ts';
import { until } from '../support/wait.ts';

const skip = missingAddon || missingAioquic;

/** Long enough for a client to connect first. */
const SOON_MS = 12_000;

t.test('an authority that leaves its file ends what it vouched for, gracefully, and nothing else', { skip }, async (t) => {
  const folder = t.testdir();
  const [old, young] = [makeAuthority(folder, 'same'), makeAuthority(folder, 'same')];
  const file = join(folder, 'clients.pem');
  put(file, old.ca, young.ca);
  const waiting: (() => void)[] = [];
  const origin = await startH2Origin(t, (request, headers) => {
    const answer = (): void => request.respond({ ':status': 200 });
    if (headers[':path'] === '/slow') waiting.push(answer);
    else answer();
  });
  const tls = { client_certificates: { mode: 'required', ca: [file] } };
  const edge = await startEdge(t, { backends: [origin.url], listener: { tls }, shards: 2 });
  const connect = (pair: ClientPair) => connectAs(t, edge.port, pair);
  const [leaving, idle, staying] = [await connect(old.issue('a')), await connect(old.issue('b')), await connect(young.issue('c'))];
  for (const client of [leaving, idle, staying]) t.same(await ask(client, edge.port), served);
  const slow = await leaving.request(getHead(edge.port, '/slow'));
  await until('the slow request to be under way', () => waiting.length === 1);

  put(file, young.ca);
  await leaving.wait('goaway', undefined, GONE_MS);
  t.not((await ask(leaving, edge.port)).kind, 'status', 'nothing new is taken');
  waiting[0]?.();
  t.equal(await leaving.status(slow), 200, 'what was under way comes to its end');
  await gone(t, leaving);
  await gone(t, idle);
  t.same(await ask(staying, edge.port), served);
  t.same(await get(t, edge.port, old.issue('d')), alert(48));
  t.same(await get(t, edge.port, young.issue('e')), served);
  t.equal(await ended(edge, 'unknown_ca'), 2);
  const line = await until('the log', told(edge, 'connections ended: the certificates of their clients do not pass any more'));
  t.match(line, { listener: 'public', reason: 'unknown_ca' });
});

t.test('what is under way at a connection that has to go has seconds, not as long as it likes', { skip }, async (t) => {
  const folder = t.testdir();
  const [old, young] = [makeAuthority(folder, 'old'), makeAuthority(folder, 'young')];
  const file = join(folder, 'clients.pem');
  put(file, old.ca);
  const origin = await startH2Origin(t, () => {});
  const tls = { client_certificates: { mode: 'required', ca: [file] } };
  const edge = await startEdge(t, { backends: [origin.url], listener: { tls } });
  const client = await connectAs(t, edge.port, old.issue('a'));
  await client.request(getHead(edge.port));
  put(file, young.ca);
  await gone(t, client);
});

t.test('a revocation, a rule that denies and one that allows others end connections; a key keeps them', { skip }, async (t) => {
  const folder = t.testdir();
  const own = makeAuthority(folder, 'own');
  const [revoked, denied, other] = [own.issue('revoked'), own.issue('denied'), own.issue('other', { names: 'URI:spiffe://a/b' })];
  const list = own.list();
  const origin = await startOrigin(t);
  const rules = { mode: 'required', ca: [own.ca], crl: [list] };
  const listener = (more: object) => ({
    tls: { client_certificates: { ...rules, ...more } },
    client_certificates: [{ names: ['keep.test'], ...rules, ...more, keep_connections: true }],
  });
  const edge = await startEdge(t, { backends: [origin.url], listener: listener({}), shards: 2 });
  const connect = (pair: ClientPair, servername?: string) => connectAs(t, edge.port, pair, servername);
  const clients = [await connect(revoked), await connect(denied), await connect(other)] as const;
  const kept = await connect(revoked, 'keep.test');
  for (const client of clients) t.same(await ask(client, edge.port), served);

  own.revoke(revoked);
  own.list();
  await gone(t, clients[0]);
  t.same(await get(t, edge.port, revoked), alert(44), 'certificate_revoked');
  t.same(await ask(kept, edge.port, 'keep.test'), served);
  t.same(await get(t, edge.port, revoked, 'keep.test'), alert(44), 'a new connection is none that is kept');

  const apply = async (more: object): Promise<void> => {
    edge.rewrite({ listener: listener(more) });
    t.match(await reload(edge), { result: 'applied' });
  };
  await apply({ deny: [denied.fingerprint] });
  await gone(t, clients[1]);
  t.same(await get(t, edge.port, denied), alert(49), 'access_denied');
  t.same(await ask(clients[2], edge.port), served);

  await apply({ allow: [{ uri: 'spiffe://a/c/*' }, { subject: 'CN=somebody,O=Example' }] });
  await gone(t, clients[2]);
  t.same(await get(t, edge.port, other), alert(49));
  await apply({ allow: [{ uri: 'spiffe://a/*' }] });
  t.same(await get(t, edge.port, other), served);
  for (const reason of ['revoked', 'denied', 'not_allowed']) t.equal(await ended(edge, reason), 1, reason);
});

t.test('a certificate that runs out ends its connection, and so does a list that speaks for it no longer', { skip }, async (t) => {
  const folder = t.testdir();
  const [short, listed] = [makeAuthority(folder, 'short'), makeAuthority(folder, 'listed')];
  const origin = await startOrigin(t);
  const [list, copy] = [join(folder, 'list.crl'), join(folder, 'copy.crl')];
  const until = (time?: string): void => {
    const made = listed.list(time === undefined ? {} : { until: time });
    for (const path of [list, copy]) put(path, made);
  };
  until();
  const rules = { mode: 'required', ca: [listed.ca] };
  const client_certificates = [
    { names: ['short.test'], mode: 'required', ca: [short.ca] },
    { names: ['listed.test'], ...rules, crl: [list] },
    { names: ['accept.test'], ...rules, crl: [copy], expired_crl: 'accept' },
  ];
  const edge = await startEdge(t, { backends: [origin.url], listener: { client_certificates } });
  const pair = listed.issue('b');
  const [speaking, accepted] = [await connectAs(t, edge.port, pair, 'listed.test'), await connectAs(t, edge.port, pair, 'accept.test')];
  const ending = await connectAs(t, edge.port, short.issue('a', { until: timeFromNow(SOON_MS) }), 'short.test');
  until(timeFromNow(SOON_MS));
  for (const client of [ending, speaking]) await gone(t, client, SOON_MS + GONE_MS);
  t.same(await get(t, edge.port, pair, 'listed.test'), alert(46), 'certificate_unknown');
  t.same(await ask(accepted, edge.port, 'accept.test'), served);
  t.equal(await ended(edge, 'expired'), 1);
  t.equal(await ended(edge, 'revocation_unknown'), 1);
});
