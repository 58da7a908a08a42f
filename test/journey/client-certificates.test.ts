/**
 * What clients must prove with certificates of their own, and what becomes of those that do not.
 */

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { makeAuthority, timeFromNow } from '../support/authority.ts';
import { missingAioquic, type Outcome } from '../support/client/aioquic.ts';
import { alert, ask, connectAs, get, served, startOrigin } from '../support/client-certificates.ts';
import { missingAddon, startEdge } from '../support/edge.ts';

const skip = missingAddon || missingAioquic;

t.test(
  'who has no certificate, one of a stranger or one that ran out is refused with the alert and counted by reason',
  { skip },
  async (t) => {
    const folder = t.testdir();
    const [own, stranger] = [makeAuthority(folder, 'own'), makeAuthority(folder, 'stranger')];
    const past = own.issue('past', { from: timeFromNow(-7_200_000), until: timeFromNow(-3_600_000) });
    const origin = await startOrigin(t);
    const tls = { client_certificates: { mode: 'required', ca: [own.ca] } };
    const edge = await startEdge(t, { backends: [origin.url], listener: { tls }, shards: 2 });
    t.same(await get(t, edge.port, own.issue('good')), served);
    t.same(await get(t, edge.port), alert(116), 'certificate_required');
    t.same(await get(t, edge.port, stranger.issue('good')), alert(48), 'unknown_ca');
    t.same(await get(t, edge.port, past), alert(45), 'certificate_expired');
    t.same(await get(t, edge.port, own.issue('server', { usage: 'serverAuth' })), alert(43), 'unsupported_certificate');
    const metrics = await edge.metrics();
    for (const reason of ['missing', 'unknown_ca', 'expired', 'purpose']) {
      t.equal(metrics.sum('lychgate_client_certificates_refused_total', { reason }), 1, reason);
    }
    t.equal(metrics.sum('lychgate_client_certificates_total', { result: 'verified' }), 1);
    t.equal(metrics.sum('lychgate_client_certificates_total', { result: 'refused' }), 4);
  },
);

t.test('a certificate that is optional must hold when it is shown, and where any will do none is looked at', { skip }, async (t) => {
  const folder = t.testdir();
  const [own, stranger] = [makeAuthority(folder, 'own'), makeAuthority(folder, 'stranger')];
  const [good, bad] = [own.issue('good'), stranger.issue('bad')];
  const origin = await startOrigin(t);
  const client_certificates = [
    { names: ['optional.test', '*.optional.test'], mode: 'optional', ca: [own.ca] },
    { names: ['any.test'], mode: 'any' },
  ];
  const edge = await startEdge(t, { backends: [origin.url], listener: { client_certificates } });
  for (const name of ['optional.test', 'www.optional.test']) {
    t.same(await get(t, edge.port, undefined, name), served);
    t.same(await get(t, edge.port, good, name), served);
    t.same(await get(t, edge.port, bad, name), alert(48));
  }
  for (const pair of [undefined, good, bad]) t.same(await get(t, edge.port, pair, 'any.test'), served);
  for (const pair of [undefined, bad]) t.same(await get(t, edge.port, pair), served, 'nobody is asked there');
  const metrics = await edge.metrics();
  for (const [result, times] of Object.entries({ verified: 2, unverified: 2, absent: 3, refused: 2 })) {
    t.equal(metrics.sum('lychgate_client_certificates_total', { result }), times, result);
  }
});

t.test('a connection opened for one name serves no name of which another certificate is wanted', { skip }, async (t) => {
  const own = makeAuthority(t.testdir(), 'own');
  const origin = await startOrigin(t);
  const client_certificates = [{ names: ['inner.test'], mode: 'required', ca: [own.ca] }];
  const edge = await startEdge(t, { backends: [origin.url], listener: { client_certificates } });
  const misdirected: Outcome = { kind: 'status', status: 421 };
  const outer = await connectAs(t, edge.port);
  t.same(await ask(outer, edge.port, 'outer.test'), served);
  t.same(await ask(outer, edge.port, 'inner.test'), misdirected);
  t.same(await ask(outer, edge.port, 'INNER.test.'), misdirected);
  t.same(await ask(outer, edge.port, 'outer.test'), served, 'the connection goes on');
  const inner = await connectAs(t, edge.port, own.issue('good'), 'inner.test');
  t.same(await ask(inner, edge.port, 'inner.test'), served);
  t.same(await ask(inner, edge.port, 'outer.test'), misdirected);
});

t.test('an old authority and a new one of the same name stand beside each other', { skip }, async (t) => {
  const folder = t.testdir();
  const [old, young] = [makeAuthority(folder, 'same'), makeAuthority(folder, 'same')];
  const both = join(folder, 'both.pem');
  writeFileSync(both, readFileSync(old.ca, 'utf8') + readFileSync(young.ca, 'utf8'));
  const origin = await startOrigin(t);
  const tls = (...ca: string[]) => ({ client_certificates: { mode: 'required', ca } });
  for (const ca of [[both], [young.ca, old.ca]]) {
    const edge = await startEdge(t, { backends: [origin.url], listener: { tls: tls(...ca) } });
    for (const authority of [old, young]) t.same(await get(t, edge.port, authority.issue('client')), served);
  }
  const edge = await startEdge(t, { backends: [origin.url], listener: { tls: tls(young.ca) } });
  t.same(await get(t, edge.port, old.issue('client')), alert(48), 'the name alone is not enough');
});
