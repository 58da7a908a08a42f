/** Fallbacks: what answers when the upstream of a route cannot. */

import t from 'tap';
import { connectH3 } from '../support/client/h3.ts';
import { missingAddon, startEdge } from '../support/edge.ts';
import { answers, echoes, resets } from '../support/origin/behaviours.ts';
import { startH2Origin } from '../support/origin/h2.ts';
import { until } from '../support/wait.ts';

const skip = missingAddon;

t.test('another upstream answers while the first cannot be reached, and the response says so', { skip }, async (t) => {
  const gone = await startH2Origin(t, answers('never'));
  const spare = await startH2Origin(t, answers('from the spare'));
  gone.kill();
  const config = {
    upstreams: { web: { backends: [{ url: gone.url }], breaker: { consecutive: 5 } }, spare: { backends: [{ url: spare.url }] } },
    routes: [{ upstream: 'web', fallback: { upstream: 'spare' } }],
  };
  const edge = await startEdge(t, { backends: [], config });
  const client = await connectH3(t, edge.port);
  // The first few find out by trying; from then on the breaker is open.
  for (let i = 0; i < 12; i++) {
    t.match(await client.exchange(), { status: 200, text: 'from the spare', headers: { 'x-lychgate-fallback': '1' } });
  }
  t.equal((await edge.metrics()).sum('lychgate_fallbacks_total', { upstream: 'web' }), 12);
});

t.test('a fixed answer stands in when every attempt failed', { skip }, async (t) => {
  const broken = await startH2Origin(t, resets());
  const fallback = { respond: { status: 200, headers: { 'content-type': 'text/plain' }, body: 'we are back soon' } };
  const edge = await startEdge(t, { backends: [broken.url], route: { fallback } });
  const client = await connectH3(t, edge.port);
  t.match(await client.exchange(), { status: 200, text: 'we are back soon', headers: { 'x-lychgate-fallback': '1' } });
});

t.test('a client\u2019s own mistake is not hidden by a fallback', { skip }, async (t) => {
  const origin = await startH2Origin(t, answers('not found here', 404));
  const edge = await startEdge(t, { backends: [origin.url], route: { fallback: { respond: { status: 200, body: 'no' } } } });
  const client = await connectH3(t, edge.port);
  t.match(await client.exchange(), { status: 404, text: 'not found here' });
});

t.test('without retries the fallback upstream answers after a reset, and a body goes to it again', { skip }, async (t) => {
  const broken = await startH2Origin(t, resets());
  const spare = await startH2Origin(t, echoes);
  const config = {
    upstreams: { web: { backends: [{ url: broken.url }] }, spare: { backends: [{ url: spare.url }] } },
    routes: [{ upstream: 'web', retries: 0, fallback: { upstream: 'spare' } }],
  };
  const edge = await startEdge(t, { backends: [], config });
  const client = await connectH3(t, edge.port);
  t.match(await client.exchange({ method: 'PUT', body: 'once more' }), {
    status: 200,
    text: 'once more',
    headers: { 'x-lychgate-fallback': '1' },
  });
  t.match(await client.exchange({ method: 'POST', body: 'only once' }), { status: 502 }, 'what may not be repeated is not');
});

t.test('a status of the backend has the fallback answer, its endless body is not read and its stream is freed', { skip }, async (t) => {
  const failing = await startH2Origin(t, (stream) => {
    stream.respond({ ':status': 503 });
    const more = () => void (stream.destroyed || stream.write(Buffer.alloc(65_536), more));
    more();
  });
  const spare = await startH2Origin(t, answers('from the spare'));
  const config = {
    upstreams: { web: { backends: [{ url: failing.url }], breaker: { consecutive: 'none' } }, spare: { backends: [{ url: spare.url }] } },
    routes: [{ upstream: 'web', retries: 0, fallback: { upstream: 'spare', statuses: ['5xx'] } }],
  };
  const edge = await startEdge(t, { backends: [], config });
  const client = await connectH3(t, edge.port);
  for (let i = 0; i < 5; i++)
    t.match(await client.exchange(), { status: 200, text: 'from the spare', headers: { 'x-lychgate-fallback': '1' } });
  await until('no stream is left at the one that failed', () => failing.open === 0);
  t.equal(failing.requests, 5);
});
