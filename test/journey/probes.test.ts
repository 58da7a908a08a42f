/** What an orchestrator asks is answered whatever else is asked of the admin API. */

import { get } from 'node:http';
import { connect, type Socket } from 'node:net';
import t from 'tap';
import { missingAddon, startEdge } from '../support/edge.ts';
import { until } from '../support/wait.ts';

/** Opens so many connections that send `bytes` and nothing after them. */
function crowd(base: string, count: number, bytes: string): Promise<Socket[]> {
  return Promise.all(
    Array.from({ length: count }, async () => {
      const socket = connect(Number(new URL(base).port), '127.0.0.1');
      socket.on('error', () => {});
      socket.resume();
      await new Promise((resolve) => socket.once('connect', resolve));
      socket.write(bytes);
      return socket;
    }),
  );
}

/** The status of a GET by a connection of its own. */
const statusOf = (url: string): Promise<number | undefined> =>
  new Promise((resolve, reject) => {
    get(url, { agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode);
    }).on('error', reject);
  });

t.test('300 half-sent requests keep no probe out, at the admin API or at an address of its own', { skip: missingAddon }, async (t) => {
  const edge = await startEdge(t, {
    backends: ['h2c://127.0.0.1:9'],
    config: { admin: { address: '127.0.0.1:0', probes: { address: '127.0.0.1:0' } } },
  });
  const own = `http://${await until('the probes are announced', () => edge.log.find((line) => line['probes'] === true)?.['address'])}`;
  const sockets: Socket[] = [];
  for (const base of [edge.admin, own]) {
    sockets.push(...(await crowd(base, 300, 'GET /readyz HTTP/1.1\r\nhost: localhost\r\n')));
    for (const path of ['/healthz', '/readyz']) t.equal(await statusOf(base + path), 200, base + path);
  }
  sockets.push(...(await crowd(edge.admin, 300, 'PUT /v1/weights HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\n\r\n{')));
  await until('the admin API is busy', async () => (await statusOf(`${edge.admin}/v1/status`)) === 503);
  for (const base of [edge.admin, own]) t.equal(await statusOf(`${base}/readyz`), 200, base);
  t.equal(await statusOf(`${own}/metrics`), 404);

  for (const socket of sockets) socket.destroy();
  await until('all have left', async () => {
    if ((await statusOf(`${edge.admin}/v1/status`)) !== 200) return false;
    return (await edge.metrics()).sum('lychgate_admin_connections') < 4;
  });
  const metrics = await edge.metrics();
  for (const reason of ['quiet', 'admin_busy']) t.ok(metrics.sum('lychgate_admin_refused_total', { reason }) > 0, reason);
  t.match(await edge.ask('/v1/status'), { probesAddress: own.replace('http://', '') });
});
