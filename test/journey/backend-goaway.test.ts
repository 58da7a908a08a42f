/** A backend that says GOAWAY under load, as every graceful restart does, costs nobody anything. */

import t from 'tap';
import { connectH3 } from '../support/client/h3.ts';
import { missingAddon, startEdge } from '../support/edge.ts';
import { startH2Origin } from '../support/origin/h2.ts';
import { startScriptedOrigin } from '../support/origin/scripted.ts';
import { until } from '../support/wait.ts';

t.test('GOAWAY from the backend under load loses no request', { skip: missingAddon, timeout: 60_000 }, async (t) => {
  const origin = await startH2Origin(t, (stream) => {
    setTimeout(() => {
      if (stream.destroyed) return;
      stream.respond({ ':status': 200 });
      stream.end('ok');
    }, Math.random() * 10);
  });
  const edge = await startEdge(t, { backends: [origin.url] });
  const client = await connectH3(t, edge.port);

  const failures: string[] = [];
  let answered = 0;
  let isOver = false;
  const workers = Array.from({ length: 32 }, async () => {
    while (!isOver) {
      const response = await client.exchange({ body: 'a body, so that it is not simply sent again' }).catch((error: Error) => error);
      if (response instanceof Error) failures.push(response.message);
      else if (response.status === 200) answered += 1;
      else failures.push(response.text);
    }
  });
  for (let round = 1; round <= 10; round += 1) {
    const before = answered;
    await until('requests flow', () => answered > before + 100);
    // close() sends GOAWAY with the last stream it has taken and lets those end.
    for (const session of origin.sessions) session.close();
    await until('another session', () => origin.accepted > round);
  }
  isOver = true;
  await Promise.all(workers);

  t.same(failures, [], `${answered} answered over ${origin.accepted} sessions`);
  t.ok((await edge.metrics()).sum('lychgate_upstream_goaways_total') >= 10);
});

t.test('a stream above the id in GOAWAY was not processed and is tried again, body and all', { skip: missingAddon }, async (t) => {
  const origin = await startScriptedOrigin(t, (peer, stream, connection) => {
    if (connection === 1) {
      peer.goaway(0);
      peer.socket.end();
    } else {
      peer.head(stream);
      peer.data(stream, Buffer.from('second try'), true);
    }
  });
  const edge = await startEdge(t, { backends: [origin.url] });
  const client = await connectH3(t, edge.port);

  const response = await client.exchange({ body: 'not idempotent, but never processed' });

  t.equal(response.status, 200);
  t.equal(response.text, 'second try');
  t.equal(origin.accepted, 2);
});

t.test('a backend that says GOAWAY every ten requests loses none of them', { skip: missingAddon, timeout: 60_000 }, async (t) => {
  const requests = new Map<number, number>();
  const origin = await startScriptedOrigin(t, (peer, stream, connection) => {
    const place = (requests.get(connection) ?? 0) + 1;
    requests.set(connection, place);
    if (place > 10) return;
    peer.head(stream, true);
    if (place === 10) {
      peer.goaway(stream);
      peer.socket.end();
    }
  });
  const edge = await startEdge(t, { backends: [origin.url] });
  const client = await connectH3(t, edge.port);
  const statuses: number[] = [];
  const workers = Array.from({ length: 16 }, async () => {
    for (let place = 0; place < 25; place += 1) statuses.push((await client.exchange()).status);
  });
  await Promise.all(workers);
  t.equal(statuses.filter((status) => status === 200).length, 400, statuses.filter((status) => status !== 200).join(' '));
});

t.test(
  'a backend that says GOAWAY to everything is asked eight times for nothing, and then as often as the route says',
  {
    skip: missingAddon,
  },
  async (t) => {
    let asked = 0;
    const origin = await startScriptedOrigin(t, (peer) => {
      asked += 1;
      peer.goaway(0);
      peer.socket.end();
    });
    const edge = await startEdge(t, { backends: [origin.url], route: { retries: { attempts: 2 } } });
    const client = await connectH3(t, edge.port);
    const response = await client.exchange({ method: 'POST', body: 'never processed' });
    t.equal(response.status, 502);
    t.match(JSON.parse(response.text), { error: 'backend_goaway' });
    t.equal(asked, 1 + 8 + 2, 'the first attempt, eight that cost nothing, two retries');
    t.match(await until('the access line', () => edge.access()[0]), { attempts: 11 });
  },
);
