/**
 * Hedging: a second attempt beside a slow one; the first answer wins, the other is taken back where
 * it runs.
 */

import { constants } from 'node:http2';
import t from 'tap';
import { connectH3 } from '../support/client/h3.ts';
import { missingAddon, startEdge } from '../support/edge.ts';
import { answers, isSilent } from '../support/origin/behaviours.ts';
import { startH1Origin } from '../support/origin/h1.ts';
import { type Behaviour, startH2Origin } from '../support/origin/h2.ts';
import { until } from '../support/wait.ts';

const skip = missingAddon;
const UPSTREAM = {
  balance: { policy: 'round-robin' },
  breaker: { consecutive: 'none' },
  hedge_budget: { ratio: '100%', min_per_second: 100 },
};
const ROUTE = { hedge: { delay: '30ms' } };

t.test('a slow read is answered by the hedge, and the loser is reset at its backend', { skip }, async (t) => {
  const resets: number[] = [];
  const slow: Behaviour = (stream) => {
    stream.once('close', () => resets.push(stream.rstCode));
  };
  const stuck = await startH2Origin(t, slow);
  const quick = await startH2Origin(t, answers('from the hedge'));
  const edge = await startEdge(t, { backends: [stuck.url, quick.url], upstream: UPSTREAM, route: ROUTE });
  const client = await connectH3(t, edge.port);

  for (let i = 0; i < 6; i++) t.match(await client.exchange(), { status: 200, text: 'from the hedge' });
  t.ok(stuck.requests > 0, 'the slow one was asked');
  await until('every loser was reset', () => resets.length === stuck.requests);
  t.ok(
    resets.every((code) => code === constants.NGHTTP2_CANCEL),
    'with CANCEL',
  );
  const won = async () => (await edge.metrics()).sum('lychgate_hedges_total', { outcome: 'won' });
  await until('every hedge is counted as won', async () => (await won()) === stuck.requests);
  const lines = await until('access lines', () => (edge.access().length === 6 ? edge.access() : null));
  t.equal(lines.filter(({ hedge }) => hedge === 'won').length, stuck.requests);
});

t.test('a hedge that is slower than the first attempt is wasted and changes nothing', { skip }, async (t) => {
  const late: Behaviour = (stream, headers) => {
    setTimeout(() => !stream.destroyed && answers('the first')(stream, headers), 120);
  };
  const first = await startH2Origin(t, late);
  const second = await startH2Origin(t, isSilent);
  const upstream = {
    ...UPSTREAM,
    backends: [
      { url: first.url, weight: 10_000 },
      { url: second.url, weight: 1 },
    ],
  };
  const edge = await startEdge(t, { backends: [], upstream, route: ROUTE });
  const client = await connectH3(t, edge.port);

  t.match(await client.exchange(), { status: 200, text: 'the first' });
  t.equal(second.requests, 1);
  await until('the hedge was taken back', () => second.open === 0);
  const wasted = async () => (await edge.metrics()).sum('lychgate_hedges_total', { outcome: 'wasted' });
  await until('the hedge is counted as wasted', async () => (await wasted()) === 1);
});

t.test('a loser that speaks HTTP/1.1 has its connection closed, for it knows no cancelling', { skip }, async (t) => {
  const stuck = await startH1Origin(t, () => {});
  const quick = await startH1Origin(t, (_, response) => void response.end('from the hedge'));
  const edge = await startEdge(t, { backends: [stuck.url, quick.url], upstream: UPSTREAM, route: ROUTE });
  const client = await connectH3(t, edge.port);
  for (let i = 0; i < 6; i++) t.match(await client.exchange(), { status: 200, text: 'from the hedge' });
  t.ok(stuck.accepted > 0, 'the slow one was asked');
  await until('its connections are closed', () => stuck.sockets.size === 0);
});

t.test('a quick answer needs no hedge', { skip }, async (t) => {
  const origins = await Promise.all([0, 1].map(() => startH2Origin(t, answers('quick'))));
  const edge = await startEdge(t, { backends: origins.map(({ url }) => url), upstream: UPSTREAM, route: { hedge: { delay: '5s' } } });
  const client = await connectH3(t, edge.port);
  for (let i = 0; i < 20; i++) t.equal((await client.exchange()).text, 'quick');
  t.equal(
    origins.reduce((sum, { requests }) => sum + requests, 0),
    20,
  );
});

t.test('requests with a body and those that may not be repeated are not hedged', { skip }, async (t) => {
  const late: Behaviour = (stream, headers) => {
    stream.resume();
    setTimeout(() => !stream.destroyed && answers('done')(stream, headers), 150);
  };
  const origins = await Promise.all([0, 1].map(() => startH2Origin(t, late)));
  const edge = await startEdge(t, { backends: origins.map(({ url }) => url), upstream: UPSTREAM, route: ROUTE });
  const client = await connectH3(t, edge.port);
  t.equal((await client.exchange({ method: 'PUT', body: 'x' })).status, 200);
  t.equal((await client.exchange({ method: 'POST' })).status, 200);
  t.equal(
    origins.reduce((sum, { requests }) => sum + requests, 0),
    2,
  );
});

t.test('when the hedge fails, the first attempt goes on', { skip }, async (t) => {
  const late: Behaviour = (stream, headers) => {
    setTimeout(() => !stream.destroyed && answers('the first')(stream, headers), 200);
  };
  const first = await startH2Origin(t, late);
  const broken = await startH2Origin(t, (stream) => stream.close(constants.NGHTTP2_INTERNAL_ERROR));
  const upstream = {
    ...UPSTREAM,
    backends: [
      { url: first.url, weight: 10_000 },
      { url: broken.url, weight: 1 },
    ],
  };
  const edge = await startEdge(t, { backends: [], upstream, route: { ...ROUTE, retries: { attempts: 1, backoff: 'none' } } });
  const client = await connectH3(t, edge.port);
  t.match(await client.exchange(), { status: 200, text: 'the first' });
  t.equal(broken.requests, 1);
  t.equal((await edge.metrics()).sum('lychgate_attempt_failures_total', { reason: 'backend_reset' }), 1);
});

t.test('a hedge that gets a status which is tried again does not win', { skip }, async (t) => {
  const late: Behaviour = (stream, headers) => {
    setTimeout(() => !stream.destroyed && answers('the first')(stream, headers), 150);
  };
  const first = await startH2Origin(t, late);
  const full = await startH2Origin(t, answers('not now', 503));
  const upstream = {
    ...UPSTREAM,
    backends: [
      { url: first.url, weight: 10_000 },
      { url: full.url, weight: 1 },
    ],
  };
  const edge = await startEdge(t, { backends: [], upstream, route: { ...ROUTE, retries: { attempts: 1, statuses: [503] } } });
  const client = await connectH3(t, edge.port);
  for (let i = 0; i < 3; i++) t.match(await client.exchange(), { status: 200, text: 'the first' });
  t.equal(full.requests, 3);
});

t.test('a client that leaves takes both attempts back', { skip }, async (t) => {
  const origins = await Promise.all([0, 1].map(() => startH2Origin(t, isSilent)));
  const edge = await startEdge(t, { backends: origins.map(({ url }) => url), upstream: UPSTREAM, route: ROUTE });
  const client = await connectH3(t, edge.port);
  const { stream, head } = await client.open();
  stream.on('error', () => {});
  head.catch(() => {});
  await until('both were asked', () => origins.every(({ open }) => open === 1));
  await client.close();
  await until('both were taken back', () => origins.every(({ open }) => open === 0));
});

t.test('a route without retries is hedged all the same', { skip }, async (t) => {
  const stuck = await startH2Origin(t, isSilent);
  const quick = await startH2Origin(t, answers('from the hedge'));
  const edge = await startEdge(t, { backends: [stuck.url, quick.url], upstream: UPSTREAM, route: { ...ROUTE, retries: 0 } });
  const client = await connectH3(t, edge.port);
  for (let i = 0; i < 4; i++) t.match(await client.exchange(), { status: 200, text: 'from the hedge' });
  t.ok(stuck.requests > 0, 'the slow one was asked');
});
