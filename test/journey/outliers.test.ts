/**
 * A backend that fails more than its siblings is ejected, though far from every request fails and
 * never many in a row.
 */

import t from 'tap';
import { connectH3 } from '../support/client/h3.ts';
import { missingAddon, startEdge } from '../support/edge.ts';
import { answers } from '../support/origin/behaviours.ts';
import { startH2Origin } from '../support/origin/h2.ts';
import { until } from '../support/wait.ts';

t.test('of five backends the one that fails every third request is ejected', { skip: missingAddon }, async (t) => {
  let count = 0;
  const ill = await startH2Origin(t, (stream, headers) => answers('ill', ++count % 3 === 0 ? 502 : 200)(stream, headers));
  const others = await Promise.all([1, 2, 3, 4].map((name) => startH2Origin(t, answers(`well ${name}`))));
  const edge = await startEdge(t, {
    backends: [ill, ...others].map(({ url }) => url),
    upstream: {
      balance: { policy: 'round-robin' },
      breaker: { consecutive: 5, eject: '5m' },
      outliers: { enabled: true, interval: '1s', min_backends: 5, min_requests: 20 },
    },
    route: { retries: 0 },
  });
  const client = await connectH3(t, edge.port);
  const ejected = await until(
    'it is ejected',
    async () => {
      await Promise.all(Array.from({ length: 25 }, () => client.exchange()));
      return edge.log.find((line) => line['event'] === 'outlier_ejected');
    },
    20_000,
  );
  t.match(ejected, { backend: ill.url, upstream: 'web', reason: 'response_status' });
  const asked = ill.requests;
  for (let i = 0; i < 20; i++) t.match((await client.exchange()).text, /^well/);
  t.equal(ill.requests, asked);
});
