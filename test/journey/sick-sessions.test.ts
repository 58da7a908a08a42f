/**
 * A backend's session on which stream after stream is reset, while another would serve: behind a
 * balancer of its own, say, that has lost what is behind it.
 */

import t from 'tap';
import { connectH3 } from '../support/client/h3.ts';
import { missingAddon, startEdge } from '../support/edge.ts';
import { startScriptedOrigin } from '../support/origin/scripted.ts';
import { until } from '../support/wait.ts';

const INTERNAL_ERROR = 2;
const RENEWED = 'lychgate_upstream_sessions_renewed_total';

t.test('a session on which everything is reset is replaced, and what still runs on it ends whole', { skip: missingAddon }, async (t) => {
  const held: (() => void)[] = [];
  const asked: number[] = [];
  const origin = await startScriptedOrigin(t, (peer, stream, connection) => {
    asked[connection] = (asked[connection] ?? 0) + 1;
    if (connection === 1 && stream > 1) {
      peer.reset(stream, INTERNAL_ERROR);
      return;
    }
    peer.head(stream);
    if (stream === 1 && connection === 1) held.push(() => peer.data(stream, Buffer.from('from the old one'), true));
    else peer.data(stream, Buffer.from('from the new one'), true);
  });
  const edge = await startEdge(t, { backends: [origin.url], route: { retries: 0 }, upstream: { pool: { max_sessions: 1 } } });
  const clients = [await connectH3(t, edge.port), await connectH3(t, edge.port)] as const;
  const running = clients[0].exchange();
  await until('the first request', () => held.length === 1);

  for (let place = 0; place < 5; place += 1) t.equal((await clients[place % 2 === 0 ? 0 : 1].exchange()).status, 502);
  const response = await until('another session', async () => {
    const response = await clients[0].exchange();
    return response.status === 200 ? response : undefined;
  });
  t.equal(response.text, 'from the new one');
  t.equal((await edge.metrics()).sum(RENEWED), 1);
  t.equal(asked[1], 6, 'nothing was asked of the old one any more');
  held[0]!();
  t.equal((await running).text, 'from the old one');
  await until('the old session is closed', () => origin.sockets.size === 1);
});

t.test('what one client alone has reset replaces nothing', { skip: missingAddon }, async (t) => {
  const origin = await startScriptedOrigin(t, (peer, stream) => peer.reset(stream, INTERNAL_ERROR));
  const edge = await startEdge(t, { backends: [origin.url], route: { retries: 0 } });
  const client = await connectH3(t, edge.port);
  for (let place = 0; place < 12; place += 1) t.equal((await client.exchange()).status, 502);
  t.strictSame([(await edge.metrics()).sum(RENEWED), origin.accepted], [0, 1]);
});
