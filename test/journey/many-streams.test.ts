/** A thousand requests open at once on one connection. */

import type { ServerHttp2Stream } from 'node:http2';
import t from 'tap';
import { connectH3 } from '../support/client/h3.ts';
import { missingAddon, startEdge } from '../support/edge.ts';
import { startH2Origin } from '../support/origin/h2.ts';
import { until } from '../support/wait.ts';

const COUNT = 1000;

t.test('1,000 concurrent streams are all open before any is answered', { skip: missingAddon, timeout: 60_000 }, async (t) => {
  const waiting: [ServerHttp2Stream, string][] = [];
  const origin = await startH2Origin(t, (stream, headers) => {
    waiting.push([stream, headers[':path'] ?? '']);
  });
  const edge = await startEdge(t, {
    backends: [origin.url],
    listener: { quic: { max_streams: COUNT } },
    upstream: { pool: { max_streams: COUNT } },
  });
  const client = await connectH3(t, edge.port);

  const exchanges = Array.from({ length: COUNT }, (_, place) => client.exchange({ path: `/${place}` }));
  await until('all are open at the backend', () => waiting.length === COUNT, 20_000);
  t.equal((await edge.metrics()).sum('lychgate_exchanges'), COUNT);
  for (const [stream, path] of waiting) {
    stream.respond({ ':status': 200 });
    stream.end(path);
  }

  const responses = await Promise.all(exchanges);
  t.ok(responses.every((response, place) => response.status === 200 && response.text === `/${place}`));
  t.equal(origin.requests, COUNT);
});
