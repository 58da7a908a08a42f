/**
 * Frames where none belong (RFC 9114 §7, §6.2): the connection is closed with the code the RFC
 * names, and only that connection.
 */

import t from 'tap';
import { type AioquicClient, connectAioquic, getHead, missingAioquic } from '../support/client/aioquic.ts';
import { missingAddon, startEdge } from '../support/edge.ts';
import { answers } from '../support/origin/behaviours.ts';
import { startH2Origin } from '../support/origin/h2.ts';

/** What the client does, and the error code it is closed with. */
const FAULTS: readonly [string, number, (client: AioquicClient) => Promise<unknown>][] = [
  ['DATA before HEADERS', 0x105, (client) => client.order('bidi', { hex: '000161' })],
  ['SETTINGS on a request stream', 0x105, (client) => client.order('bidi', { hex: '0400' })],
  ['a frame of HTTP/2 on a request stream', 0x105, (client) => client.order('bidi', { hex: '0600' })],
  ['a second control stream', 0x103, (client) => client.order('uni', { hex: '000400' })],
  ['a second QPACK encoder stream', 0x103, (client) => client.order('uni', { hex: '02' })],
  ['the end of the control stream', 0x104, (client) => client.order('endcontrol')],
  ['a second SETTINGS', 0x105, (client) => client.order('control', { type: 4, hex: '' })],
  ['DATA on the control stream', 0x105, (client) => client.order('control', { type: 0, hex: '61' })],
  ['HEADERS on the control stream', 0x105, (client) => client.order('control', { type: 1, hex: '0000' })],
  ['PUSH_PROMISE from a client', 0x105, (client) => client.order('bidi', { hex: '05020000' })],
  ['CANCEL_PUSH of an unknown push', 0x108, (client) => client.order('control', { type: 3, hex: '05' })],
  ['a field section that QPACK cannot read', 0x200, (client) => client.order('bidi', { hex: '0104ffffffff', fin: true })],
];

t.test('faults of framing close the connection with their code', { skip: missingAddon || missingAioquic }, async (t) => {
  const origin = await startH2Origin(t, answers('ok'));
  const edge = await startEdge(t, { backends: [origin.url] });
  const bystander = await connectAioquic(t, edge.port);

  for (const [what, code, commit] of FAULTS) {
    await t.test(what, async (t) => {
      const client = await connectAioquic(t, edge.port);
      // A request first: both sides' control streams are up then.
      t.equal(await client.status(await client.request(getHead(edge.port))), 200);
      await commit(client);
      t.equal((await client.wait('closed')).code, code);
    });
  }

  await t.test('unknown frames and streams are read over', async (t) => {
    const client = await connectAioquic(t, edge.port);
    await client.order('unitype', { type: 0x21 });
    await client.order('control', { type: 0x21, hex: 'aabbcc' });
    const stream = await client.request(getHead(edge.port), { fin: false });
    await client.order('frame', { stream, type: 0x21, hex: '00', fin: true });
    t.equal(await client.status(stream), 200);
  });

  await t.test('nobody else has noticed', async (t) => {
    t.equal(await bystander.status(await bystander.request(getHead(edge.port))), 200);
  });
});
