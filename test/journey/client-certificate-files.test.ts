/** Files of what clients must prove that change, and tickets of before. */

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { makeAuthority } from '../support/authority.ts';
import { connectAioquic, missingAioquic } from '../support/client/aioquic.ts';
import { alert, ask, connectAs, get, gone, put, served, startOrigin, told } from '../support/client-certificates.ts';
import { missingAddon, startEdge } from '../support/edge.ts';
import { until } from '../support/wait.ts';

const skip = missingAddon || missingAioquic;

t.test('a file of authorities or revocations that is not good leaves what is in use, and is told with its name', { skip }, async (t) => {
  const folder = t.testdir();
  const [own, other] = [makeAuthority(folder, 'own'), makeAuthority(folder, 'other')];
  const [file, list] = [join(folder, 'clients.pem'), join(folder, 'clients.crl')];
  put(file, own.ca);
  put(list, own.list());
  const origin = await startOrigin(t);
  const tls = { client_certificates: { mode: 'required', ca: [file], crl: [list] } };
  const edge = await startEdge(t, { backends: [origin.url], listener: { tls } });
  const pair = own.issue('a');
  const client = await connectAs(t, edge.port, pair);
  const refusals = () => edge.log.filter((line) => line['msg'] === 'client certificate rules refused; the ones before stay in use');
  for (const [place, spoil] of [
    () => writeFileSync(file, readFileSync(own.ca, 'utf8').slice(0, 300)),
    () => put(file, other.ca),
  ].entries()) {
    spoil();
    const refused = await until('the refusal', () => refusals()[place]);
    t.match(refused, { listener: 'public', fault: /clients\.(pem|crl): / });
    t.same(await ask(client, edge.port), served);
    t.same(await get(t, edge.port, pair), served);
  }
  put(file, own.ca);
  await until('the end of it', told(edge, 'client certificate rules on disk are the ones in use again'));
  put(list, other.list());
  const refused = await until('the refusal of a list of somebody else', () => refusals()[2]);
  t.match(refused, { fault: /clients\.crl: its issuer is none of the authorities/ });
  t.same(await get(t, edge.port, pair), served);
});

t.test('who resumed before does not under a new authority of the same name, nor by a shared file of keys', { skip }, async (t) => {
  const folder = t.testdir();
  const [old, young] = [makeAuthority(folder, 'same'), makeAuthority(folder, 'same')];
  const [file, keys] = [join(folder, 'clients.pem'), join(folder, 'tickets.keys')];
  put(file, old.ca);
  writeFileSync(keys, Buffer.alloc(48, 7), { mode: 0o600 });
  const origin = await startOrigin(t);
  const named = { names: ['localhost'], mode: 'required', ca: [file] };
  const open = { tls: { tickets: { keys_file: keys } } };
  const edge = await startEdge(t, { backends: [origin.url], listener: { ...open, client_certificates: [named] } });
  const unguarded = await startEdge(t, { backends: [origin.url], listener: open });
  const pair = old.issue('a');
  const client = await connectAs(t, edge.port, pair);
  t.same(await ask(client, edge.port), served);
  await t.rejects(client.order('ticket'), /IndexError/, 'there is no ticket');
  // A ticket of another edge with the same keys and names, which wants no certificate.
  const guest = await connectAs(t, unguarded.port);
  t.same(await ask(guest, unguarded.port), served);
  const { ticket } = await guest.order('ticket');
  t.same(await get(t, edge.port, undefined), alert(116));
  const resuming = await connectAioquic(t, edge.port, { ticket });
  t.same(await ask(resuming, edge.port), alert(116), 'it opens nothing');
  put(file, young.ca);
  await gone(t, client);
  t.same(await get(t, edge.port, pair), alert(48));
});
